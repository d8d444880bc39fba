"""Losses over the triangles of a mesh (after Pixel2Mesh, Wang et al., ECCV 2018, as I2L-MeshNet uses them)."""

import torch
from torch.nn import functional as F

EDGES = ((0, 1), (0, 2), (1, 2))


def corners(points, valid, faces):
    """Points (B, V, 3) and valid (B, V) at the corners of all faces (F, 3): three of (B, F, 3), three of (B, F, 1)."""
    return [points[:, ids] for ids in faces.T], [valid[:, ids, None] for ids in faces.T]


def batched_corners(points, valid, faces):
    """What the published I2L-MeshNet training of OakInk's benchmark takes for corners.

    Its faces have a batch axis and are indexed as if they had none, so that "corner" k is the set of the three vertices
    of face k (k = 0, 1, 2): three of (B, 3, 3), three of (B, 3, 1). Vectors then lie along axis 1, from vertex to
    vertex (``axis=1`` in the losses), once for x, y and z each. Only nine vertices are ever touched.
    """
    return corners(points, valid, faces[:3].T)


def normal_loss(ours, truth, valid, axis=2):
    """Mean |cosine| between the predicted edges and the true normals; lists of three corners each."""
    sides = [F.normalize(ours[b] - ours[a], dim=axis) for a, b in EDGES]
    normal = torch.linalg.cross(
        F.normalize(truth[1] - truth[0], dim=axis), F.normalize(truth[2] - truth[0], dim=axis), dim=axis
    )
    normal = F.normalize(normal, dim=axis)
    known = valid[0] * valid[1] * valid[2]
    return torch.stack([(side * normal).sum(axis, keepdim=True).abs() * known for side in sides]).mean()


def edge_loss(ours, truth, valid, axis=2):
    """Mean difference of the edges' lengths, in the unit of the points."""

    def length(points, a, b):
        return (points[a] - points[b]).square().sum(axis, keepdim=True).sqrt()

    terms = [(length(ours, a, b) - length(truth, a, b)).abs() * (valid[a] * valid[b]) for a, b in EDGES]
    return torch.stack(terms).mean()
