"""Half-edge-collapse decimation with quadric errors (Garland and Heckbert 1997) summed over several poses.

Every kept vertex is one of the dense mesh, so weights and shapes carry over exactly; and because the errors are summed
over bent and straight poses, the rings around the joints, which a flat hand would not miss, survive.
"""

import heapq

import numpy as np
import trimesh

EVEN = 2e-5  # price of a long edge against the surface error
REFIT_HOLD = 0.5  # how strongly a kept vertex holds to its place, against the pull of about two dense vertices


class Decimator:
    """verts (P, V, 3): the same mesh in P poses; importance (V,): how dear an error there is; even: long ones."""

    def __init__(self, verts, faces, importance, even=EVEN):
        self.verts, self.importance, self.even = verts, importance, even
        self.faces = {i: tuple(f) for i, f in enumerate(faces.tolist())}
        self.around = [set() for _ in range(verts.shape[1])]  # faces at each vertex
        for i, face in self.faces.items():
            for v in face:
                self.around[v].add(i)
        self.quadrics = self._quadrics(faces)
        self.stamp = [0] * verts.shape[1]
        self.alive = sum(bool(a) for a in self.around)

    def _quadrics(self, faces):
        corners = self.verts[:, faces]
        normal = np.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0])
        area = np.linalg.norm(normal, axis=-1, keepdims=True)
        normal /= np.maximum(area, 1e-20)
        plane = np.concatenate([normal, -np.sum(normal * corners[:, :, 0], -1, keepdims=True)], -1)
        each = np.einsum("pfi,pfj->pfij", plane, plane) * (area[..., None] / 6)
        out = np.zeros((*self.verts.shape[:2], 4, 4))
        for k in range(3):
            np.add.at(out, (slice(None), faces[:, k]), each)
        return out * self.importance[None, :, None, None]

    def ring(self, v):
        return {u for i in self.around[v] for u in self.faces[i]} - {v}

    def boundary(self):
        return {v for v in range(len(self.around)) if self.around[v] and len(self.ring(v)) != len(self.around[v])}

    def cost(self, gone, kept):
        """Error of moving vertex `gone` onto `kept`, with a small price on long edges so that triangles stay even."""
        quadric = self.quadrics[:, gone] + self.quadrics[:, kept]
        point = np.concatenate([self.verts[:, kept], np.ones((len(self.verts), 1))], 1)
        error = np.einsum("pi,pij,pj->", point, quadric, point)
        length = np.sum((self.verts[0, gone] - self.verts[0, kept]) ** 2)
        return error + self.even * length**2 * self.importance[gone]

    def allowed(self, gone, kept):
        """The collapse leaves a manifold, turns no triangle over and makes no sliver."""
        shared = self.around[gone] & self.around[kept]
        if len(self.ring(gone) & self.ring(kept)) != len(shared) or not shared:
            return False
        moving = self.around[gone] - shared
        if any(len(self.around[v]) <= 3 for i in shared for v in self.faces[i] if v not in (gone, kept)):
            return False
        for i in moving:
            old = list(self.faces[i])
            new = [kept if v == gone else v for v in old]
            for pose in self.verts:
                before, after = _normal(pose[old]), _normal(pose[new])
                if before @ after < 0.45 * np.linalg.norm(before) * np.linalg.norm(after):
                    return False
            edges = self.verts[0, new] - self.verts[0, new[1:] + new[:1]]
            if np.linalg.norm(_normal(self.verts[0, new])) < 0.22 * np.max(np.sum(edges**2, -1)):
                return False
        return True

    def collapse(self, gone, kept):
        for i in self.around[gone] & self.around[kept]:
            for v in self.faces.pop(i):
                self.around[v].discard(i)
        for i in self.around[gone]:
            self.faces[i] = tuple(kept if v == gone else v for v in self.faces[i])
            self.around[kept].add(i)
        self.around[gone] = set()
        self.quadrics[:, kept] += self.quadrics[:, gone]
        self.alive -= 1
        for v in self.ring(kept) | {kept}:
            self.stamp[v] += 1

    def run(self, count, pairs):
        """Cheapest collapses first until `count` vertices live; `pairs(v)` lists the vertices that v may move onto."""
        heap = []

        def push(v):
            for u in pairs(v):
                heapq.heappush(heap, (self.cost(v, u), v, u, self.stamp[v], self.stamp[u]))

        for v in range(len(self.around)):
            if self.around[v]:
                push(v)
        while self.alive > count and heap:
            _, gone, kept, a, b = heapq.heappop(heap)
            if self.stamp[gone] != a or self.stamp[kept] != b or not self.around[gone] or not self.allowed(gone, kept):
                continue
            self.collapse(gone, kept)
            for v in sorted(self.ring(kept) | {kept}):
                push(v)
        if self.alive > count:
            raise RuntimeError(f"no allowed collapse is left at {self.alive} vertices, {count} wanted")


def decimate(verts, faces, importance, count, rim):
    """Reduce a disc-like mesh to `count` vertices, `rim` of them on its one boundary.

    Returns (ids of the kept dense vertices (count,), faces (2 * count - 2 - rim, 3) in the new numbering).
    """
    mesh = Decimator(verts, faces, importance)
    edge = mesh.boundary()
    mesh.run(mesh.alive - (len(edge) - rim), lambda v: _along_rim(mesh, v) if v in edge and mesh.around[v] else [])
    edge = mesh.boundary()
    mesh.run(count, lambda v: [] if v in edge else sorted(mesh.ring(v)))
    ids = np.unique(np.array(list(mesh.faces.values())))
    return ids, np.searchsorted(ids, np.array([mesh.faces[i] for i in sorted(mesh.faces)]))


def refit(verts, ids, faces):
    """Operator (count, V) that moves the kept vertices so that the coarse surface lies on the dense one (verts (V, 3)).

    Kept vertices lie on the dense surface and the flat triangles between them cut inside it, which thins the fingers;
    the least-squares fit of every dense vertex's nearest coarse point undoes it. Linear, so it serves shapes as well.
    """
    coarse = trimesh.Trimesh(verts[ids], faces, process=False)
    nearest, _, triangle = trimesh.proximity.closest_point_naive(coarse, verts)
    share = trimesh.triangles.points_to_barycentric(coarse.triangles[triangle], nearest)
    onto = np.zeros((len(verts), len(ids)))
    np.add.at(onto, (np.arange(len(verts))[:, None], faces[triangle]), share)
    keep = np.zeros((len(ids), len(verts)))
    keep[np.arange(len(ids)), ids] = 1
    return np.linalg.solve(onto.T @ onto + REFIT_HOLD * np.eye(len(ids)), onto.T + REFIT_HOLD * keep)


def _along_rim(mesh, v):
    return sorted(u for u in mesh.ring(v) if len(mesh.around[u] & mesh.around[v]) == 1)


def _normal(corners):
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = corners
    ux, uy, uz, vx, vy, vz = bx - ax, by - ay, bz - az, cx - ax, cy - ay, cz - az
    return np.array([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx])
