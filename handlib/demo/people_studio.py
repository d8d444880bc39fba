"""The rendering of whole people: light, shadows, skin, cloth and the place around. Imports no torch."""

import dataclasses

import cv2
import numpy as np

from handlib import geometry, render
from handlib.demo import outfits, scene, skin

_REACH = 0.35  # m around a point within which things take its sky away
_COARSE = 2  # what is behind everyone is drawn so many times smaller


@dataclasses.dataclass(frozen=True)
class Person:
    """parameters: SMPL-X's in the camera's frame, axis-angle rad and m, by name: root_pose (3,), body_pose (63,),
    lhand_pose, rhand_pose (45,) from the mean hand, jaw_pose, leye_pose, reye_pose (3,), shape (10,), expr (10,),
    transl (3,). verts (10475, 3) and joints (137, 3), `body_joints.SMPLX137`: m in the camera's frame.
    """

    parameters: dict
    verts: np.ndarray
    joints: np.ndarray
    outfit: outfits.Outfit


@dataclasses.dataclass(frozen=True)
class Shot:
    """What one picture shows. things: `scene.Thing` in the world's frame; ``far`` ones lie behind everyone."""

    people: tuple
    look: scene.Look
    camera: scene.Camera
    things: tuple
    outside: bool


def meshes(shot):
    """[(verts, faces)] in the camera's frame as drawn: everybody with their clothes, then near things."""
    drawn = [(outfits.dressed(person.outfit, person.verts), outfits.body().faces) for person in shot.people]
    return drawn + [(_moved(thing, shot.camera), thing.faces) for thing in shot.things if not thing.far]


def _moved(thing, camera):
    return geometry.world_to_camera(thing.verts, camera.rot, camera.pos)


def picture(shot, seed):
    """RGB uint8 (h, w, 3) of a `Shot`; the same bytes for the same arguments."""
    rng = np.random.default_rng(seed)
    drawing = _Drawing(shot, meshes(shot), rng)
    light = _sky(shot)
    for layer in (drawing.back(), drawing.front()):
        light = layer[..., :3] + (1 - layer[..., 3:]) * light
    return scene._developed(light, shot.look, rng, 1.0)


def write(job):
    """Render and write one (path, `Shot`, seed) as a JPEG."""
    path, shot, seed = job
    if not cv2.imwrite(str(path), picture(shot, seed)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95]):
        raise OSError(f"{path} could not be written")


def _sky(shot):
    """What is behind everything: the sky outside, (h, w, 3) float32; a room has walls in front of it."""
    height, width = shot.camera.size
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    return np.broadcast_to(np.float32([0.45, 0.65, 1.0]) * (1 - rows) + np.float32([0.9, 0.95, 1.0]) * rows,
                           (height, width, 3))  # fmt: skip


class _Drawing:
    def __init__(self, shot, drawn, rng):
        self._shot, self._rng, self._camera = shot, rng, shot.camera
        far = [thing for thing in shot.things if thing.far]
        near = [thing for thing in shot.things if not thing.far]
        behind = [(geometry.world_to_camera(t.verts, self._camera.rot, self._camera.pos), t.faces) for t in far]
        self._scene = render.Scene([*drawn, *behind])
        self._before, self._behind = render.Scene(drawn), render.Scene(behind)
        self._normals = render.smooth_normals(self._scene)
        self._things = near + far
        rows = np.zeros((len(self._scene.verts), outfits.FIELDS), np.float32)
        own = outfits.body().at_rest
        for number in range(len(shot.people)):
            rows[number * len(own) : (number + 1) * len(own)] = own
        start = len(own) * len(shot.people)
        for thing in self._things:
            rows[start : start + len(thing.verts), :3] = thing.place
            start += len(thing.verts)
        self._at_rest = rows

    def front(self):
        """People and near things, (h, w, 4) premultiplied."""
        view = render.look_closely(self._before, self._camera.K, self._camera.size, jump=0.01)
        return self._layer(view, self._camera.K, self._camera.size, 3, 1.0)

    def back(self):
        """Floor, walls, houses: coarse and a little out of focus."""
        size = tuple((side + _COARSE - 1) // _COARSE for side in self._camera.size)
        shift = 0.5 - 0.5 / _COARSE
        K = np.diag([1 / _COARSE, 1 / _COARSE, 1]) @ self._camera.K - np.array(
            [[0, 0, shift], [0, 0, shift], [0, 0, 0]]
        )
        view = render.look(self._behind, K, size)
        view = view._replace(hits=view.hits._replace(face=view.hits.face + len(self._before.faces)))
        layer = cv2.GaussianBlur(self._layer(view, K, size, 3, 2.0), (0, 0), 1.0)
        layer = cv2.resize(layer, None, fx=_COARSE, fy=_COARSE, interpolation=cv2.INTER_LINEAR)
        return layer[: self._camera.size[0], : self._camera.size[1]]

    def _layer(self, view, K, size, rays, blur):
        """blur: of light and shadow, px."""
        if not len(view.rows):
            return np.zeros((*size, 4), np.float32)
        look, turn = self._shot.look, self._camera.rot.astype(np.float32)
        up = turn @ np.array([0, -1, 0], np.float32)
        eye = -_unit(view.directions)
        albedo, relief, shine, kind = self._painted(view.hits)
        smooth = _unit(self._scene.blend(self._normals, view.hits))
        normals = _unit(smooth + relief)
        normals = _unit(normals + np.maximum(0.02 - (normals * eye).sum(1, keepdims=True), 0) * eye)
        lights = [(turn @ look.key.astype(np.float32), look.key_light.astype(np.float32), 0.12),
                  (turn @ look.rim.astype(np.float32), look.rim_light.astype(np.float32), 0.25)]  # fmt: skip
        points = render.surface_points(self._scene, view, 2e-3) + 2e-3 * smooth
        reached = np.zeros((len(points), 3), np.float32)
        for number, (axis, _, radius) in enumerate(lights):
            lit = np.flatnonzero(normals @ axis > -skin.WRAP.max())
            reached[lit, number] = render.visibility(self._scene, points[lit], axis, radius, self._rng, rays, 3.0)
        reached[:, 2] = render.openness(self._scene, points, normals, self._rng, rays + 2, _REACH)
        reached = skin.scattered(view, size, 1.0, reached, [blur] * 3)
        sky = (0.72 + 0.28 * (normals @ up))[:, None] * look.sky_light.astype(np.float32)
        total = skin.bounced(reached[:, 2:], albedo) * sky
        bare = kind == outfits.SKIN
        for (axis, light, _), share in zip(lights, reached.T, strict=False):
            cosine = normals @ axis
            diffuse = np.where(bare[:, None], skin.wrapped(cosine), np.clip(cosine, 0, 1)[:, None])
            total += share[:, None] * diffuse * light
        leaving = albedo * total
        for (axis, light, _), share in zip(lights, reached.T, strict=False):
            leaving += (0.5 * shine * share * skin.gloss(normals, eye, axis))[:, None] * light
        return view.picture(leaving, size).astype(np.float32)

    def _painted(self, hits):
        """albedo (N, 3), relief (N, 3), shine (N,), kind (N,; -1 for things) at the points hit."""
        mesh = self._scene.mesh_of_face[hits.face]
        albedo, relief = np.zeros((2, len(mesh), 3), np.float32)
        shine, kind = np.zeros(len(mesh), np.float32), np.full(len(mesh), -1)
        persons = self._shot.people
        for number in np.unique(mesh):
            index = np.flatnonzero(mesh == number)
            at_rest = self._scene.blend(self._at_rest, hits.at(index))
            if number < len(persons):
                albedo[index], relief[index], shine[index], kind[index] = outfits.paint(persons[number].outfit, at_rest)
                continue
            material = self._things[number - len(persons)].material
            albedo[index], relief[index], shine[index] = material.paint(None, at_rest, None)
            shine[index] *= material.reflectance * 4
        return albedo, relief, shine, kind


def _unit(vectors):
    return vectors / np.sqrt(np.maximum(np.einsum("...i,...i->...", vectors, vectors), 1e-12))[..., None]
