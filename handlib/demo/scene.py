"""One demo picture: hands with forearms and sleeves, light, backdrop and lens. Knows no data set."""

import dataclasses
from typing import NamedTuple

import cv2
import numpy as np

from handlib import geometry, render
from handlib.demo import arms, backdrops, detail, skin
from handlib.demo.materials import Cloth, Skin, Solid

LEVELS = 1  # how often the hand's triangles are split
FOREARM = 0.24  # m
RINGS = 25  # cross-sections of the forearm
CHEST = np.array([0, -0.17, 1.47])  # m, the middle of the person's chest in the world
SHOULDER = np.array([-0.165, -0.32, 1.46])  # of the right arm


@dataclasses.dataclass(frozen=True)
class HandModel:
    """What the pictures need to know of the body model's right hand; left hands mirror it.

    template (V, 3) m, faces (F, 3), joints (16, 3) in MANO's order, fingers (V, 5): how much of each vertex moves
    with index, middle, little, ring finger and thumb, MANO's order.
    """

    template: np.ndarray
    faces: np.ndarray
    joints: np.ndarray
    fingers: np.ndarray


@dataclasses.dataclass(frozen=True)
class PosedHand:
    """side 0 right, 1 left; verts (V, 3) m in the world; arm (2, 3): elbow and shoulder, m in the world.

    person: whose hand it is; 0 stands in the usual place.
    """

    side: int
    verts: np.ndarray
    arm: np.ndarray
    person: int = 0


@dataclasses.dataclass(frozen=True)
class Thing:
    """Anything else in the picture: verts (V, 3) m in the world, faces (F, 3), place (V, 3) m of each vertex in the
    thing's own frame, and what it is made of; far: it lies behind all hands, out of focus.
    """

    verts: np.ndarray
    faces: np.ndarray
    place: np.ndarray
    material: Solid
    far: bool = False


@dataclasses.dataclass(frozen=True)
class Camera:
    """Pinhole: K (3, 3) px, x_cam = rot @ (x_world - pos) in metres, size (height, width)."""

    K: np.ndarray
    rot: np.ndarray
    pos: np.ndarray
    size: tuple


@dataclasses.dataclass(frozen=True)
class Look:
    """What one capture session has in common: a person's skin and sleeves, a place, its light. Colours are linear
    RGB.
    """

    skin: np.ndarray
    mottling: float
    gloss: float
    cloth: np.ndarray
    pattern: str
    cuff: float
    backdrop: str
    palette: np.ndarray
    key: np.ndarray
    key_light: np.ndarray
    sky_light: np.ndarray
    rim: np.ndarray
    rim_light: np.ndarray
    exposure: float
    seed: int


@dataclasses.dataclass(frozen=True)
class Guest:
    """One more person in a picture: their look (the personal half of it counts), and how the usual person is turned
    about the world's vertical axis through ``pivot`` (3,) to stand where this one does (rad).
    """

    look: Look
    azimuth: float
    pivot: np.ndarray

    def moved(self, points):
        """Points (..., 3) of the usual person, carried over."""
        turn = np.array([[np.cos(self.azimuth), 0, np.sin(self.azimuth)], [0, 1, 0],
                         [-np.sin(self.azimuth), 0, np.cos(self.azimuth)]])  # fmt: skip
        return (points - self.pivot) @ turn.T + self.pivot


@dataclasses.dataclass(frozen=True)
class Shot:
    """What one picture shows: PosedHands, the Look of person and place, Camera; Things; Guests (persons 1, 2, ...).

    grain: of the film, relative to the usual; a picture that is packed without loss is smaller without it.
    """

    hands: tuple
    look: Look
    camera: Camera
    things: tuple = ()
    guests: tuple = ()
    grain: float = 1.0


def look(rng, chances=(0.34, 0.33, 0.33)):
    """Draw the look of one capture session; ``chances`` of each of ``backdrops.KINDS``."""
    backdrop = rng.choice(backdrops.KINDS, p=chances)
    colours = backdrops.palette(backdrop, rng)
    azimuth, height = rng.uniform(-0.9, 0.9), rng.uniform(0.35, 0.95)
    clothes = backdrops.palette("room", rng)[:3]
    warmth = rng.uniform(-0.08, 0.10)
    ambient = colours.mean(0) / max(colours.mean(), 1e-3)
    away = -np.sign(azimuth) * rng.uniform(1.9, 2.5)
    return Look(
        skin=skin.tone(rng),
        mottling=rng.uniform(0.02, 0.05),
        gloss=rng.uniform(0.5, 1.0),
        cloth=(0.65 * clothes + 0.35 * clothes.mean(1, keepdims=True)) * rng.uniform(0.25, 0.85),
        pattern=str(rng.choice(["plain", "plain", "plaid", "stripes"])),
        cuff=rng.uniform(0.03, 0.13),
        backdrop=str(backdrop),
        palette=colours,
        key=_lamp(azimuth, height),
        key_light=np.array([1 + warmth, 1.0, 1 - 1.4 * warmth]) * rng.uniform(1.3, 1.8),
        sky_light=(0.75 + 0.25 * ambient) * rng.uniform(0.5, 0.75),
        rim=_lamp(away, rng.uniform(0.0, 0.6)),
        rim_light=np.array([0.95, 1.0, 1.08]) * rng.uniform(0.5, 1.3),
        exposure=rng.uniform(0.9, 1.05),
        seed=int(rng.integers(2**31)),
    )


def towards(azimuth, height, roll):
    """Rotation (3, 3), world to camera, of a camera that looks at the hands from an azimuth off the front (towards
    -x) and a height above the horizon, turned by ``roll``; rad.
    """
    forward = np.array([np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)])
    right = np.cross([0, 1.0, 0], forward)
    right /= np.linalg.norm(right)
    rot = np.stack([right, np.cross(forward, right), forward])
    return np.array([[np.cos(roll), np.sin(roll), 0], [-np.sin(roll), np.cos(roll), 0], [0, 0, 1]]) @ rot


def _lamp(azimuth, height):
    """Unit world direction: azimuth from the cameras' side (-z) towards x, height above the horizon (rad); y is
    down.
    """
    return np.array([np.sin(azimuth) * np.cos(height), -np.sin(height), -np.cos(azimuth) * np.cos(height)])


class _Surface(NamedTuple):
    """A mesh ready to be drawn: camera frame, and for each vertex where it lies on the surface at rest."""

    verts: np.ndarray
    faces: np.ndarray
    at_rest: np.ndarray  # (V, 7) skin: what ``Detail.at_rest`` says; else where it is on the cloth or thing, then zeros
    finger: np.ndarray  # (V,) 0..4, -1 palm and arm and all that is no hand
    material: Skin | Cloth | Solid


def _plain(material, verts, faces, place):
    return _Surface(verts, faces, np.pad(place, ((0, 0), (0, 4))), np.full(len(verts), -1), material)


def _thing(thing):
    return _plain(thing.material, thing.verts, thing.faces, thing.place)


class Studio:
    """Renders pictures of one hand model."""

    def __init__(self, model):
        faces = np.asarray(model.faces, np.int64)
        self._refinement = arms.Refinement(faces, LEVELS)
        self._faces = self._refinement.faces
        rest = self._refinement.verts(np.asarray(model.template, np.float64))
        self._ring = render.boundary_loops(self._faces)[0][::-1]
        self._own_ring = render.boundary_loops(faces)[0]
        self._template = np.asarray(model.template, np.float64)
        self._out = _unit(rest[self._ring].mean(0) - model.joints[0])
        self._across = _unit(model.joints[1] - model.joints[7])
        fingers = self._refinement.values(np.asarray(model.fingers, np.float64))
        self._finger = np.where(fingers.max(1) > 0.5, fingers.argmax(1), -1)
        self._detail = detail.Detail(model.joints, rest, self._finger)
        line = rest[self._ring].mean(0) + np.linspace(0, FOREARM, RINGS)[:, None] * self._out
        rest, faces, _ = self._with_arm(rest, line, self._out, self._across)
        self._at_rest = self._detail.at_rest(rest, render.vertex_normals(rest, faces), fingers)

    def _with_arm(self, verts, line, out, across):
        t = np.linspace(0, 1, len(line))
        growth = 1 + 0.55 * t * t * (3 - 2 * t)
        more, faces, half = arms.forearm(verts, self._ring, out, line, across, growth)
        return np.concatenate([verts, more]), np.concatenate([self._faces, faces]), half

    def picture(self, shot, seed):
        """RGB uint8 (h, w, 3) of a Shot; the same bytes for the same arguments."""
        rng = np.random.default_rng(seed)
        look, camera = shot.look, shot.camera
        looks = [look, *(guest.look for guest in shot.guests)]
        surfaces = [part for hand in shot.hands for part in self._dressed(hand, looks[hand.person])]
        surfaces += [_thing(thing) for thing in shot.things if not thing.far]
        far = [*_chests(shot), *(_thing(thing) for thing in shot.things if thing.far)]
        surfaces = [
            part._replace(verts=geometry.world_to_camera(part.verts, camera.rot, camera.pos))
            for part in (*surfaces, *far)
        ]
        drawing = _Drawing(self._detail, surfaces, len(far), look, camera.rot.astype(np.float32), rng)
        place = np.random.default_rng([look.seed, *np.abs(camera.pos * 1e4).astype(int)])
        picture = backdrops.draw(look.backdrop, camera.size, look.palette, place)
        for layer in (drawing.back(camera, 3 if shot.things else 2), drawing.front(camera)):
            picture = layer[..., :3] + (1 - layer[..., 3:]) * picture
        return _developed(picture, look, rng, shot.grain)

    def _dressed(self, hand, look):
        """A hand's surfaces (skin, sleeve) in the world."""
        # A left hand is built as the right hand it mirrors, and mirrored back.
        mirror = np.array([-1.0 if hand.side else 1.0, 1, 1])
        verts, arm = np.asarray(hand.verts, np.float64) * mirror, np.asarray(hand.arm) * mirror
        turn = _turn(self._template[self._own_ring], verts[self._own_ring])
        verts = self._refinement.verts(verts)
        out, across = turn @ self._out, turn @ self._across
        line = arms.spine(verts[self._ring].mean(0), out, arm, RINGS)
        skin_verts, faces, half = self._with_arm(verts, line[:RINGS], out, across)
        cuff = int(np.searchsorted(np.linspace(0, FOREARM, RINGS), look.cuff))
        cloth = arms.sleeve(line, across, half, cuff, np.random.default_rng(look.seed + hand.side))
        none = np.full(len(skin_verts) - len(self._finger), -1)
        bare = Skin(look.skin, look.mottling, look.gloss)
        skin_part = _Surface(skin_verts, faces, self._at_rest, np.concatenate([self._finger, none]), bare)
        for part in (skin_part, _plain(Cloth(look.pattern, look.cloth), *cloth)):
            yield part._replace(verts=part.verts * mirror, faces=part.faces[:, ::-1] if hand.side else part.faces)


def _chests(shot):
    """The upper bodies of all persons in a Shot."""
    for person, look in enumerate((shot.look, *(guest.look for guest in shot.guests))):
        verts, faces, place = arms.chest(CHEST, np.random.default_rng(look.seed))
        verts = shot.guests[person - 1].moved(verts) if person else verts
        yield _plain(Cloth(look.pattern, look.cloth), verts, faces, place)


class _Drawing:
    """The surfaces of one picture, in the camera's frame, the last ``far`` of them behind the focus; ``to_camera``
    turns world directions.
    """

    def __init__(self, detail, surfaces, far, look, to_camera, rng):
        self._detail, self._look, self._to_camera, self._rng = detail, look, to_camera, rng
        meshes = [(part.verts, part.faces) for part in surfaces]
        self._scene = render.Scene(meshes)
        self._before, self._behind = render.Scene(meshes[:-far]), render.Scene(meshes[-far:])
        self._materials = [part.material for part in surfaces]
        self._normals = render.smooth_normals(self._scene)
        self._at_rest, self._finger = (
            np.concatenate([getattr(part, name) for part in surfaces]) for name in ("at_rest", "finger")
        )

    def front(self, camera):
        """Hands and arms, (h, w, 4) premultiplied."""
        view = render.look_closely(self._before, camera.K, camera.size)
        return self._layer(view, camera.K, camera.size, lift=2e-4, rays=2, blur=(1.0, 1.0, 1.2))

    def back(self, camera, coarse):
        """Chests and what else lies behind the focus: drawn ``coarse`` times smaller, (h, w, 4) premultiplied."""
        size = tuple((side + coarse - 1) // coarse for side in camera.size)
        shift = 0.5 - 0.5 / coarse
        K = np.diag([1 / coarse, 1 / coarse, 1]) @ camera.K - np.array([[0, 0, shift], [0, 0, shift], [0, 0, 0]])
        view = render.look(self._behind, K, size)
        face = view.hits.face + len(self._before.faces)  # its number among all
        view = view._replace(hits=view.hits._replace(face=face))
        layer = self._layer(view, K, size, lift=3e-3, rays=1, blur=[1.75 * coarse] * 3)
        layer = cv2.GaussianBlur(layer, (0, 0), 0.9)
        layer = cv2.resize(layer, None, fx=coarse, fy=coarse, interpolation=cv2.INTER_LINEAR)
        return layer[: camera.size[0], : camera.size[1]]

    def _layer(self, view, K, size, lift, rays, blur):
        """Shade the samples of a view, the sun-like lights and the sky with ``rays`` shadow rays each."""
        scene, look, hits, up = self._scene, self._look, view.hits, self._to_camera @ np.array([0, -1, 0], np.float32)
        surface = scene.mesh_of_face[hits.face]
        bare, solid = (np.array([isinstance(one, kind) for one in self._materials])[surface] for kind in (Skin, Solid))
        bare, hard = np.flatnonzero(bare), ~bare[:, None]
        eye = -_unit(view.directions)
        albedo, relief, shine = self._painted(hits, surface)
        normals = _unit(scene.blend(self._normals, hits)) + relief
        normals = _unit(normals + np.maximum(0.02 - (normals * eye).sum(1, keepdims=True), 0) * eye)  # none faces away
        scale = K[0, 0] * 1e-3 / np.median(hits.distance) if len(surface) else 1.0
        lights = ((look.key, look.key_light, 0.12), (look.rim, look.rim_light, 0.25))
        lights = [(self._to_camera @ axis.astype(np.float32), *light) for axis, *light in lights]
        reached = self._reached(view, normals, lights, lift, rays)
        reached = skin.scattered(view, size, scale, reached, blur)
        sky = (0.72 + 0.28 * (normals @ up))[:, None] * look.sky_light.astype(np.float32)
        total = skin.bounced(reached[:, 2:], albedo) * sky
        for (axis, light, _), seen in zip(lights, reached.T, strict=False):
            cosine = normals @ axis
            diffuse = skin.wrapped(cosine)
            diffuse[solid] = np.clip(cosine[solid], 0, 1)[:, None]
            total += seen[:, None] * diffuse * light.astype(np.float32)
        if len(bare):
            total = np.where(hard, total, skin.scattered(view, size, scale, total, skin.SCATTER))
        leaving = albedo * total
        glint = (
            0.10 * (1 - np.clip((normals[bare] * eye[bare]).sum(1), 0, 1))[:, None] ** 4 * reached[bare, 2:] * sky[bare]
        )
        for (axis, light, _), seen in zip(lights, reached.T, strict=False):
            glint += (
                0.55 * (seen[bare] * skin.gloss(normals[bare], eye[bare], axis))[:, None] * light.astype(np.float32)
            )
        leaving[bare] += shine[bare, None] * glint
        for number in np.unique(surface[solid]):
            own = np.flatnonzero(surface == number)
            lamps = [(axis, light, seen[own]) for (axis, light, _), seen in zip(lights, reached.T, strict=False)]
            leaving[own] = self._materials[number].leaving(
                leaving[own], normals[own], eye[own], up, shine[own], albedo[own], lamps, sky[own] * reached[own, 2:]
            )
        return view.picture(leaving, size).astype(np.float32)

    def _reached(self, view, normals, lights, lift, rays):
        """Which share of each light, and last of the sky, reaches the samples (N, lights + 1)."""
        points = render.surface_points(self._scene, view, lift)
        reached = np.zeros((len(points), len(lights) + 1), np.float32)
        for number, (axis, _, radius) in enumerate(lights):
            lit = np.flatnonzero(normals @ axis > -skin.WRAP.max())
            reached[lit, number] = render.visibility(self._scene, points[lit], axis, radius, self._rng, rays)
        reached[:, -1] = render.openness(self._scene, points, normals, self._rng, rays + 1)
        return reached

    def _painted(self, hits, surface):
        """albedo (N, 3), relief (N, 3) and shine (N,) at the points hit."""
        albedo, relief = np.empty((2, len(surface), 3), np.float32)
        shine = np.empty(len(surface), np.float32)
        for number in np.unique(surface):
            index = np.flatnonzero(surface == number)
            own = hits.at(index)
            finger = self._finger[self._scene.faces[own.face, own.weights().argmax(1)]]
            at_rest = self._scene.blend(self._at_rest, own)
            painted = self._materials[number].paint(self._detail, at_rest, finger)
            albedo[index], relief[index], shine[index] = painted
        return albedo, relief, shine


def _turn(source, target):
    """Rotation (3, 3) that best carries source onto target, both (N, 3) about their centres (Kabsch)."""
    left, _, right = np.linalg.svd((target - target.mean(0)).T @ (source - source.mean(0)))
    return left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right


def _unit(vectors):
    return vectors / np.sqrt(np.einsum("...i,...i->...", vectors, vectors))[..., None]


def _developed(light, look, rng, strength):
    """Linear light to an 8-bit picture: exposure, lens fall-off, a film-like shoulder, grain of some strength."""
    height, width = light.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    radius = np.hypot(x - width / 2, y - height / 2) / (max(width, height) / 2)
    light = light.astype(np.float32) * (look.exposure * (1 - 0.12 * radius[..., None] ** 2))
    light = light * (1 + light / 6) / (1 + light * 0.55)
    value = np.clip(light, 0, 1) ** np.float32(1 / 2.2)
    if strength:
        grain = 0.006 * rng.standard_normal(value.shape, np.float32)
        grain += 0.004 * rng.standard_normal((height, width, 1), np.float32)
        value = value + np.float32(strength) * grain
    return (value * 255).round().clip(0, 255).astype(np.uint8)
