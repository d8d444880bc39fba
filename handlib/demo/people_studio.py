"""The rendering of whole people: light, shadows, skin, cloth and the place around. Imports no torch."""

import dataclasses
import functools

import cv2
import numpy as np

from handlib import geometry, render
from handlib.demo import outfits, pool, scene, skin

_REACH = 0.35  # m around a point within which things take its sky away
PARTS = ("body", "lhand", "rhand", "face")
_SHARP = 400  # what is behind everyone is drawn smaller by a whole number from 2 on, so that it is about as wide


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

    @functools.cached_property
    def meshes(self):
        """[(verts, faces)] in the camera's frame as drawn: everybody with their clothes, then near things."""
        drawn = [(outfits.dressed(person.outfit, person.verts), outfits.body().faces) for person in self.people]
        return drawn + [(_moved(thing, self.camera), thing.faces) for thing in self.things if not thing.far]

    @functools.cached_property
    def near(self):
        """These as a `render.Scene`."""
        return render.Scene(self.meshes)


def _moved(thing, camera):
    return geometry.world_to_camera(thing.verts, camera.rot, camera.pos)


def picture(shot, seed):
    """RGB uint8 (h, w, 3) of a `Shot`; the same bytes for the same arguments."""
    rng = np.random.default_rng(seed)
    drawing = _Drawing(shot, rng)
    light = _sky(shot)
    for layer in (drawing.back(), drawing.front()):
        light = layer[..., :3] + (1 - layer[..., 3:]) * light
    return scene._developed(light, shot.look, rng, 1.0)


def shoot(job):
    """Render and write one (path, `Shot`, seed), as a JPEG or PNG as its name says; returns what `seen` says of it."""
    path, shot, seed = job
    made, found = taken((shot, seed))
    pool.save(path, made)
    return found


def taken(job):
    """The `picture` of a (`Shot`, seed), and what `seen` says of it."""
    shot, seed = job
    return picture(shot, seed), seen(shot)


def seen(shot):
    """What is to be seen of each person: boxes (N, 4, 4) x, y, w, h px of `PARTS`, zeros where nothing is; shares
    (N, 4): how much of what the camera would see of a part on an empty, larger picture it is; visible (N, 137): joints
    that nothing hides, in the picture.
    """
    size, K, own = shot.camera.size, shot.camera.K, outfits.body()
    mask, depth = _labels(shot.near, len(shot.people), own.part, K, size)
    wide = np.diag([0.5, 0.5, 1]) @ K + np.array([[0, 0, size[1] / 2], [0, 0, size[0] / 2], [0, 0, 0]])
    room = (3 * size[0] // 2, 3 * size[1] // 2)  # three times what the picture shows, at half the scale
    boxes, shares = np.zeros((len(shot.people), 4, 4)), np.zeros((len(shot.people), 4))
    visible = np.zeros((len(shot.people), 137), bool)
    for number, person in enumerate(shot.people):
        alone, _ = _labels(render.Scene([(person.verts, own.coarse)]), 1, own.part_coarse, wide, room)
        for row in range(4):
            labels = np.arange(1, 5) if row == 0 else [row + 1]
            shown, all_of_it = np.isin(mask - 4 * number, labels), np.isin(alone, labels).sum()
            shares[number, row] = min(shown.sum() / max(4 * all_of_it, 1), 1)
            if shown.any():
                boxes[number, row] = cv2.boundingRect(shown.astype(np.uint8))
        visible[number] = _in_view(person.joints, depth, K)
    return {"boxes": boxes, "shares": shares, "visible": visible}


def _labels(things, count, part, K, size):
    """Which of the first ``count`` meshes of a `render.Scene`, all people, is nearest at each pixel, and which part of
    whom: (h, w) int, 0 or 1 + 4 * person + part; and how far away, (h, w) m. part: of each vertex of a person.
    """
    view = render.look(things, K, size)
    mesh = things.mesh_of_face[view.hits.face]
    vertex = things.faces[view.hits.face, view.hits.weights().argmax(1)]
    mask, depth = np.zeros(size, int), np.full(size, np.inf)
    own = np.where(mesh < count, 1 + 4 * mesh + part[vertex % len(part)], 0)  # every person has as many vertices
    mask[view.rows, view.cols], depth[view.rows, view.cols] = own, view.hits.distance
    return mask, depth


def _in_view(joints, depth, K, deep=0.13):
    """Whether joints (J, 3) are in the picture and at most ``deep`` m behind the surface there."""
    pixels = np.round(geometry.project(joints, K)[:, :2]).astype(int)
    inside = ((pixels >= 0) & (pixels < depth.shape[::-1])).all(1) & (joints[:, 2] > 0)
    found = np.zeros(len(joints), bool)
    found[inside] = joints[inside, 2] < depth[pixels[inside, 1], pixels[inside, 0]] + deep
    return found


def _sky(shot):
    """What is behind everything: the sky outside, (h, w, 3) float32; a room has walls in front of it."""
    height, width = shot.camera.size
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    return np.broadcast_to(np.float32([0.45, 0.65, 1.0]) * (1 - rows) + np.float32([0.9, 0.95, 1.0]) * rows,
                           (height, width, 3))  # fmt: skip


class _Drawing:
    def __init__(self, shot, rng):
        self._shot, self._rng, self._camera = shot, rng, shot.camera
        far = [thing for thing in shot.things if thing.far]
        near = [thing for thing in shot.things if not thing.far]
        behind = [(geometry.world_to_camera(t.verts, self._camera.rot, self._camera.pos), t.faces) for t in far]
        self._scene = render.Scene([*shot.meshes, *behind])
        self._before, self._behind = shot.near, render.Scene(behind)
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
        coarse = max(2, round(self._camera.size[1] / _SHARP))
        size = tuple((side + coarse - 1) // coarse for side in self._camera.size)
        shift = 0.5 - 0.5 / coarse
        K = np.diag([1 / coarse, 1 / coarse, 1]) @ self._camera.K - np.array([[0, 0, shift], [0, 0, shift], [0, 0, 0]])
        view = render.look(self._behind, K, size)
        view = view._replace(hits=view.hits._replace(face=view.hits.face + len(self._before.faces)))
        layer = cv2.GaussianBlur(self._layer(view, K, size, 3, 2.0), (0, 0), 1.0)
        layer = cv2.resize(layer, None, fx=coarse, fy=coarse, interpolation=cv2.INTER_LINEAR)
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
