"""Pictures of meshes on the CPU, by embree ray casting: part masks, depth, normals, shaded overlays.

Camera frame: x right, y down, z forward, metres. ``K`` is a 3 x 3 pinhole matrix for which pixel (0, 0) is the
centre of the top-left pixel. ``size`` is always (height, width), as ``image.shape[:2]``.
A mesh is a ``Mesh`` or a plain tuple with the same first members. All meshes of a call share one depth buffer.
"""

import functools
from typing import NamedTuple

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

_NEAR = 1e-6  # a vertex nearer than this to the camera's plane (m) has no projection


class Mesh(NamedTuple):
    """A triangle mesh: ``verts`` (V, 3) m, ``faces`` (F, 3).

    ``labels``: one integer 0..255 per face (F,) or per vertex (V,). ``colours``: RGB in 0..1, (3,) or (V, 3).
    """

    verts: np.ndarray
    faces: np.ndarray
    labels: np.ndarray | None = None
    colours: np.ndarray | None = None


def seal(verts, faces):
    """Close every hole of a mesh: each boundary loop gets one more vertex, its mean, and a fan of faces around it.

    A hand has one such loop, its wrist; this is how DIGIT's part masks were closed. Returns (verts, faces): the
    given ones first, the additions behind them. Raises ValueError where the boundary is not made of simple loops.
    """
    verts, faces = np.asarray(verts), np.asarray(faces)
    loops = boundary_loops(faces)
    fans = [
        np.stack([np.roll(loop, -1), loop, np.full(len(loop), len(verts) + number)], 1)
        for number, loop in enumerate(loops)
    ]
    centres = [verts[loop].mean(0, keepdims=True) for loop in loops]
    return np.concatenate([verts, *centres]), np.concatenate([faces, *fans]).astype(faces.dtype)


def boundary_loops(faces):
    """The holes of a mesh as a list of vertex-index arrays, each in the direction in which the faces run along it."""
    faces = np.ascontiguousarray(faces, np.int64)
    return _boundary_loops(faces.tobytes())


@functools.lru_cache(maxsize=16)  # a data set has one topology and a million meshes
def _boundary_loops(faces):
    faces = np.frombuffer(faces, np.int64).reshape(-1, 3)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    span = edges.max() + 1 if len(edges) else 1
    open_edges = edges[~np.isin(edges[:, 0] * span + edges[:, 1], edges[:, 1] * span + edges[:, 0])]
    following = dict(open_edges.tolist())
    if len(following) != len(open_edges):
        raise ValueError("the mesh's boundary touches itself: two of its loops meet at a vertex")
    loops = []
    while following:
        start = vertex = min(following)
        loop = []
        while vertex in following:
            loop.append(vertex)
            vertex = following.pop(vertex)
        if vertex != start:
            raise ValueError(f"the mesh's boundary does not close: it ends at vertex {vertex}")
        loops.append(np.array(loop))
    return loops


def vertex_normals(verts, faces):
    """Unit normals (V, 3), weighted by the areas of the faces around each vertex."""
    verts, faces = np.asarray(verts, np.float64), np.asarray(faces)
    a, b, c = (verts[faces[:, i]] for i in range(3))
    across = np.cross(b - a, c - a)
    corner = faces.T.ravel()
    total = [np.bincount(corner, np.tile(across[:, i], 3), len(verts)) for i in range(3)]
    return _unit(np.stack(total, 1))


def _unit(vectors):
    return vectors / np.sqrt(np.maximum(np.einsum("...i,...i->...", vectors, vectors), 1e-30))[..., None]


class Hits(NamedTuple):
    """What rays met first, (R,) each: ``face`` (-1 where nothing), barycentric ``u``, ``v`` of its corners 1 and 2."""

    face: np.ndarray
    u: np.ndarray
    v: np.ndarray
    distance: np.ndarray

    def at(self, index):
        """Some of them: an index array or a mask."""
        return Hits(*(part[index] for part in self))

    def weights(self):
        """Barycentric weights of the three corners, (R, 3)."""
        return np.stack([1 - self.u - self.v, self.u, self.v], 1)


class Scene:
    """All meshes of a picture as one triangle soup that rays can be sent into.

    ``verts`` (V, 3), ``faces`` (F, 3) joined; ``mesh_of_face`` (F,) says which mesh a face came from.
    """

    def __init__(self, meshes):
        self.meshes = [Mesh(*mesh) for mesh in meshes]
        starts = np.cumsum([0] + [len(mesh.verts) for mesh in self.meshes])
        counts = [len(mesh.faces) for mesh in self.meshes]
        verts = [np.asarray(mesh.verts, np.float32).reshape(-1, 3) for mesh in self.meshes]
        faces = [np.asarray(mesh.faces, np.int32).reshape(-1, 3) for mesh in self.meshes]
        faces = [own + start for own, start in zip(faces, starts[:-1], strict=True)]
        self.verts = np.concatenate([np.empty((0, 3), np.float32), *verts])
        self.faces = np.concatenate([np.empty((0, 3), np.int32), *faces], dtype=np.int32)
        self.mesh_of_face = np.repeat(np.arange(len(self.meshes)), counts)
        if not np.isfinite(self.verts).all():
            raise ValueError("a mesh has vertices that are NaN or infinite")
        # Robust: a ray through an edge that two faces share hits one of them, so that no pixel inside an outline is
        # lost.
        self._embree = EmbreeScene(robust=True)
        if len(self.faces):  # embree takes no empty mesh
            TriangleMesh(self._embree, self.verts, self.faces)

    def first(self, origins, directions):
        """The nearest face along each ray: Hits. origins, directions (R, 3); distances in units of |direction|."""
        origins, directions = (np.ascontiguousarray(given, np.float32) for given in (origins, directions))
        out = self._embree.run(origins, directions, output=True)
        return Hits(out["primID"], out["u"], out["v"], out["tfar"])

    def first_face(self, directions):
        """Only which face (-1: none) a ray from the origin meets first, (R,); cheaper than ``first``."""
        return self._embree.run(np.zeros_like(directions), directions)

    def blocked(self, origins, directions, reach):
        """Whether anything lies within ``reach`` (m) along each unit direction, (R,) bool."""
        origins = np.ascontiguousarray(origins, np.float32)
        reach = np.full(len(origins), reach, np.float32)
        return self._embree.run(origins, np.ascontiguousarray(directions, np.float32), reach, query="OCCLUDED") >= 0

    def blend(self, values, hits):
        """Per-vertex ``values`` (V, D) at the points hit, (R, D)."""
        corners = self.faces[hits.face]
        return np.einsum("rc,rcd->rd", hits.weights(), np.asarray(values, np.float32)[corners])


class View(NamedTuple):
    """A scene seen through a camera: N samples that show a surface.

    rows, cols: the pixel that a sample lies in; share: which part of the pixel it stands for; directions (N, 3): of
    its ray, with z = 1, so that ``hits.distance`` is the depth.
    """

    rows: np.ndarray
    cols: np.ndarray
    share: np.ndarray
    hits: Hits
    directions: np.ndarray

    def where(self, index):
        """Some of the samples: an index array or a mask."""
        return View(*(part[index] for part in self[:3]), self.hits.at(index), self.directions[index])

    def picture(self, values, size):
        """Values (N, D) of the samples as a picture (h, w, D + 1); the last channel is the covered share, already
        multiplied in.
        """
        values = np.concatenate([values, np.ones_like(values[:, :1])], 1) * self.share[:, None]
        pixel = self.rows * size[1] + self.cols
        return np.stack([np.bincount(pixel, part, size[0] * size[1]) for part in values.T], -1).reshape(*size, -1)


def look(scene, K, size):
    """One ray through the centre of every pixel that the scene can cover: View."""
    y0, y1, x0, x1 = _window(scene.verts, K, size)
    hits, directions = _cast(scene, K, np.arange(x0, x1), np.arange(y0, y1)[:, None])
    seen = np.flatnonzero(hits.face >= 0)
    rows, cols = np.divmod(seen, max(x1 - x0, 1))
    share = np.ones(len(seen), np.float32)
    return View(rows + y0, cols + x0, share, hits.at(seen), directions[seen])


def look_closely(scene, K, size, jump=0.003):
    """As ``look``, but with four rays in every pixel at an outline: where the depth breaks by more than ``jump`` m."""
    view = look(scene, K, size)
    near = np.zeros(
        (size[0] + 2, size[1] + 2), np.float32
    )  # 1 / depth: linear across a flat face, 0 where there is nothing
    near[view.rows + 1, view.cols + 1] = 1 / view.hits.distance
    bend = [near[1:-1, 2:] + near[1:-1, :-2], near[2:, 1:-1] + near[:-2, 1:-1]]
    bend = np.max([np.abs(pair - 2 * near[1:-1, 1:-1]) for pair in bend], 0)
    outline = bend > jump * np.maximum(near[1:-1, 1:-1], near.max(initial=1e-6) / 2) ** 2
    kept = view.where(~outline[view.rows, view.cols])
    y, x = np.nonzero(outline)
    offset = np.array([[-0.25, -0.25], [-0.25, 0.25], [0.25, -0.25], [0.25, 0.25]])
    hits, directions = _cast(scene, K, (x[:, None] + offset[:, 0]).ravel(), (y[:, None] + offset[:, 1]).ravel())
    seen = np.flatnonzero(hits.face >= 0)
    share = np.full(len(seen), 0.25, np.float32)
    extra = View(y[seen // 4], x[seen // 4], share, hits.at(seen), directions[seen])
    joined = [np.concatenate(pair) for pair in zip(kept[:3] + kept.hits, extra[:3] + extra.hits, strict=True)]
    return View(*joined[:3], Hits(*joined[3:]), np.concatenate([kept.directions, extra.directions]))


def _cast(scene, K, x, y):
    """Rays through pixel coordinates x and y (broadcast against each other, then flattened): Hits and directions."""
    directions = _directions(K, x, y)
    return scene.first(np.zeros_like(directions), directions), directions


def _directions(K, x, y):
    """Of the rays through those pixel coordinates, (R, 3) with z = 1."""
    inverse = np.linalg.inv(np.asarray(K, np.float64))
    directions = np.empty((*np.broadcast_shapes(x.shape, y.shape), 3), np.float32)
    for axis in range(3):
        across = inverse[axis, 0] * x + inverse[axis, 2]
        np.add(across, inverse[axis, 1] * y, out=directions[..., axis], casting="same_kind")
    return directions.reshape(-1, 3)


def _window(verts, K, size):
    """The pixel rectangle y0, y1, x0, x1 outside of which no vertex projects."""
    height, width = size
    if not len(verts) or verts[:, 2].max() <= _NEAR:
        return 0, 0, 0, 0
    if verts[:, 2].min() <= _NEAR:  # something reaches behind the camera
        return 0, height, 0, width
    points = verts @ np.asarray(K, np.float32).T
    points = points[:, :2] / points[:, 2:]
    x0, y0 = np.maximum(np.floor(points.min(0)), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(points.max(0)) + 1, (width, height)).astype(int)
    return y0, max(y0, y1), x0, max(x0, x1)


def part_mask(meshes, K, size):
    """The label of the nearest surface at each pixel's centre: (h, w) uint8, 0 where there is none.

    Meshes carry ``labels`` of 0..255 per face, or per vertex (the nearest corner's counts); what is labelled 0
    hides what is behind it and counts as background. For two hands in DIGIT's classes, a MANO layer has
    ``part_classes``. Close the wrists first (``seal``): a ray into an open wrist would show the inside of the fingers.
    """
    scene = Scene(meshes)
    y0, y1, x0, x1 = _window(scene.verts, K, size)
    directions = _directions(K, np.arange(x0, x1), np.arange(y0, y1)[:, None])
    per_face = [_face_labels(mesh) for mesh in scene.meshes]
    if all(labels is not None for labels in per_face):
        labels = np.concatenate([*per_face, np.zeros(1, np.uint8)])[scene.first_face(directions)]  # -1: nothing there
    else:
        hits = scene.first(np.zeros_like(directions), directions)
        labels = np.where(hits.face >= 0, _corner_labels(scene, hits), 0)
    mask = np.zeros(size, np.uint8)
    mask[y0:y1, x0:x1] = labels.reshape(y1 - y0, x1 - x0)
    return mask


def _face_labels(mesh):
    """A mesh's labels (F,) uint8, or None where they are per vertex. ValueError when they fit neither."""
    labels = None if mesh.labels is None else np.asarray(mesh.labels)
    counts = {"faces": len(mesh.faces), "vertices": len(mesh.verts)}
    if labels is None or labels.ndim != 1 or len(labels) not in counts.values():
        raise ValueError(f"a mesh needs one label for each of its faces or of its vertices; it has {counts}")
    if len(labels) and not 0 <= labels.min() <= labels.max() <= 255:
        raise ValueError(f"labels must lie in 0..255, not {labels.min()}..{labels.max()}")
    return labels.astype(np.uint8) if len(labels) == len(mesh.faces) else None


def _corner_labels(scene, hits):
    """The label of the nearest corner of each hit, or of its face where the mesh has labels per face."""
    per_corner = [np.zeros((0, 3), np.uint8)]
    for mesh in scene.meshes:
        of_face = _face_labels(mesh)
        labels = np.asarray(mesh.labels)
        corners = labels[np.asarray(mesh.faces)] if of_face is None else of_face[:, None].repeat(3, 1)
        per_corner.append(corners.astype(np.uint8))
    return np.concatenate(per_corner)[hits.face, hits.weights().argmax(1)]


def depth_map(meshes, K, size):
    """Depth z in metres of the nearest surface, (h, w) float32; infinite where there is none."""
    scene = Scene(meshes)
    view = look(scene, K, size)
    depth = np.full(size, np.inf, np.float32)
    depth[view.rows, view.cols] = view.hits.distance
    return depth


def normal_map(meshes, K, size):
    """Smooth unit normals in the camera frame, (h, w, 3) float32, towards the camera negative z; zeros where
    nothing is.
    """
    scene = Scene(meshes)
    view = look(scene, K, size)
    normals = np.zeros((*size, 3), np.float32)
    normals[view.rows, view.cols] = _unit(scene.blend(smooth_normals(scene), view.hits))
    return normals


def smooth_normals(scene):
    """Unit vertex normals of all meshes of a scene, (V, 3) float32."""
    return vertex_normals(scene.verts, scene.faces).astype(np.float32)


def surface_points(scene, view, lift=1e-4):
    """Points (N, 3) that a view shows, ``lift`` m off their faces towards the camera: where secondary rays start."""
    a, b, c = (scene.verts[scene.faces[view.hits.face, i]] for i in range(3))
    across = _unit(np.cross(b - a, c - a))
    across *= -np.sign((across * view.directions).sum(1, keepdims=True))
    return view.directions * view.hits.distance[:, None] + lift * across


def _even_sphere(count):
    """Directions spread evenly over the sphere (Fibonacci lattice), (count, 3)."""
    height = 1 - (2 * np.arange(count) + 1) / count
    turn = np.pi * (1 + 5**0.5) * np.arange(count)
    flat = np.sqrt(1 - height**2)
    return np.stack([flat * np.cos(turn), flat * np.sin(turn), height], 1).astype(np.float32)


_SPHERE = _even_sphere(4096)


def openness(scene, points, normals, rng, rays=4, reach=0.06):
    """Share (N,) of the cosine-weighted hemisphere above each point in which nothing lies within ``reach`` m."""
    count = np.zeros(len(points), np.float32)
    for _ in range(rays):
        # Uniform on the sphere around the normal's end is cosine-distributed seen from its start.
        around = 0.999 * _SPHERE[rng.integers(len(_SPHERE), size=len(points))]
        count += ~scene.blocked(points, _unit(normals + around), reach)
    return count / rays


def visibility(scene, points, light, spread, rng, rays=2, reach=2.0):
    """Share (N,) of a distant round light seen from each point; unit ``light`` (3,), ``spread``: its radius in rad,
    small.
    """
    light = np.asarray(light, np.float32)
    across = _unit(np.cross(light, np.eye(3, dtype=np.float32)[np.abs(light).argmin()]))
    up = np.cross(light, across)
    count = np.zeros(len(points), np.float32)
    for _ in range(rays):
        turn, radius = rng.random((2, len(points)), np.float32)
        turn, radius = turn * np.float32(2 * np.pi), spread * np.sqrt(radius)
        directions = light + (radius * np.cos(turn))[:, None] * across + (radius * np.sin(turn))[:, None] * up
        count += ~scene.blocked(points, directions, reach)
    return count / rays


def shade(meshes, K, size, rays=6, shadows=True):
    """Meshes in studio light: (h, w, 4) float32 RGBA in 0..1, colours already multiplied by alpha (the coverage).

    One soft light from the upper left of the camera, a dim sky with ambient occlusion. Deterministic.
    ``shadows`` False: nothing shades anything else, for colours that are data and must stay readable.
    """
    scene, rng = Scene(meshes), np.random.default_rng(0)
    view = look_closely(scene, K, size)
    normals = _unit(scene.blend(smooth_normals(scene), view.hits))
    normals *= -np.sign((normals * view.directions).sum(1, keepdims=True))
    points = surface_points(scene, view, lift=1e-3)  # coarse faces shade themselves where they turn from the light
    key = _unit(np.array([-0.5, -0.75, -0.8], np.float32))
    lit = np.clip(normals @ key, 0, 1)
    sky = 0.75 - 0.25 * normals[:, 1]
    if shadows:
        lit *= visibility(scene, points, key, 0.15, rng, rays)
        sky *= openness(scene, points, normals, rng, rays)
    glint = np.clip(normals @ _unit(key + np.array([0, 0, -1.0], np.float32)), 0, 1) ** 40 * lit
    light = (0.62 * lit + 0.48 * sky)[:, None] * scene.blend(_colours(scene), view.hits) + 0.10 * glint[:, None]
    return view.picture(np.clip(light, 0, 1), size).astype(np.float32)


def _colours(scene):
    plain = np.array([0.80, 0.80, 0.82], np.float32)
    given = [plain if mesh.colours is None else np.asarray(mesh.colours, np.float32) for mesh in scene.meshes]
    spread = [np.broadcast_to(own, (len(mesh.verts), 3)) for own, mesh in zip(given, scene.meshes, strict=True)]
    return np.concatenate([np.empty((0, 3), np.float32), *spread])


def overlay(image, meshes, K, alpha=0.9, **options):
    """``image`` (h, w, 3) uint8 RGB with shaded meshes drawn over it, as opaque as ``alpha`` says; a new uint8 picture.

    options: see ``shade``.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"overlay takes an RGB picture (h, w, 3) of uint8, not {image.shape} of {image.dtype}")
    drawn = alpha * shade(meshes, K, image.shape[:2], **options)
    return (image * (1 - drawn[..., 3:]) + 255 * drawn[..., :3]).round().clip(0, 255).astype(np.uint8)
