"""Putting predicted points onto the true ones before distances are taken: the benchmarks' own fits, in batches.

Functions take numpy arrays or torch tensors (any device; both arguments of one kind), compute in the precision given
(integers in float64) and never change their arguments. Units are free.

`similarity` is the "Procrustes" or "PA" alignment. FreiHAND, HO-3D, DexYCB and OakInk share one (Zimmermann et al.,
ICCV 2019) that **allows reflections**: a mirrored hand is forgiven. HandOccNet, Hand4Whole, OSX, DIGIT and HaMeR use
the one without (Umeyama, PAMI 1991): ``reflection=False``. On hands of the right side the two agree to 1e-10 m.
"""

import dataclasses

import numpy as np

from handlib.geometry import _namespace

OFFICIAL_EPS = 1e-8  # the shared official alignment adds it to both Frobenius norms


@dataclasses.dataclass(frozen=True)
class Fit:
    """``points -> (points - from_centre) @ rotation.T * scale + to_centre``, one fit per row.

    rotation (N, 3, 3) orthogonal; scale (N,); from_centre, to_centre (N, 1, 3); mirrored (N,) bool: the best fit is
    a mirror image; ``norms`` (N,), (N,): Frobenius norms of the centred predicted and true points (official eps added
    where it is the official fit).
    """

    rotation: object
    scale: object
    from_centre: object
    to_centre: object
    mirrored: object
    norms: tuple

    def __call__(self, points):
        """(N, P, 3) points of the predicted set's frame -> moved onto the truth."""
        turned = (points - self.from_centre) @ self.rotation.swapaxes(-1, -2)
        return turned * self.scale[:, None, None] + self.to_centre

    def without_scale_of_prediction(self, points):
        """FreiHAND's and HO-3D's path for meshes of other vertex counts, fitted on joints: (N, P, 3) -> (N, P, 3).

        The points are turned about *their own* mean, moved by the joints' offset, and scaled by the joints' scale
        times the true norm without dividing by the predicted norm. It is no similarity onto the truth: the official
        figures after it mean nothing, and are reproduced for comparison only.
        """
        centre = points.mean(-2)[:, None]
        scale = (self.scale * self.norms[0])[:, None, None]
        turned = (points - centre) @ self.rotation.swapaxes(-1, -2)
        return turned * scale + (self.to_centre - self.from_centre) + centre


def similarity(predicted, truth, reflection=True):
    """Rotation, one scale and a translation that bring ``predicted`` nearest to ``truth``, row by row.

    predicted, truth (N, P, 3) -> aligned (N, P, 3), mirrored (N,) bool: the best fit of that row is a mirror image
    (reported for both kinds of fit). ``reflection=True``: the official fit of FreiHAND, HO-3D, DexYCB and OakInk,
    which then uses the mirror image, and adds 1e-8 to both norms; ``False``: the best fit by a proper rotation.
    Predicted points that all coincide land on the centroid of the truth. Raises ValueError on other shapes.
    """
    fit = fit_similarity(predicted, truth, reflection)
    return fit(_real(predicted)), fit.mirrored


def fit_similarity(predicted, truth, reflection=True):
    """As `similarity`, but returns the `Fit`, to be applied to other points of the same frame."""
    predicted, truth = _real(predicted), _real(truth)
    if predicted.shape != truth.shape or predicted.ndim != 3 or predicted.shape[-1] != 3:
        raise ValueError(f"both must be (N, P, 3); got {tuple(predicted.shape)} and {tuple(truth.shape)}")
    xp = _namespace(predicted)
    # Sums by einsum: an axis of three is slow to add up otherwise.
    from_centre, to_centre = (xp.einsum("npi->ni", points)[:, None] / points.shape[1] for points in (predicted, truth))
    predicted, truth = predicted - from_centre, truth - to_centre
    norm, true_norm = (xp.sqrt(xp.einsum("npi,npi->n", points, points)) for points in (predicted, truth))
    if reflection:
        norm, true_norm = norm + OFFICIAL_EPS, true_norm + OFFICIAL_EPS
    # A row without extent has no scale of its own: the 1 keeps its zeros from becoming NaN.
    unit, true_unit = (xp.where(length > 0, length, xp.ones_like(length)) for length in (norm, true_norm))
    covariance = truth.swapaxes(-1, -2) @ predicted / (true_unit * unit)[:, None, None]
    left, stretch, right = xp.linalg.svd(covariance)
    rotation = left @ right
    # Flat or empty sets fit as well by a rotation; only a third extent beyond rounding tells the two apart.
    solid = stretch[:, 2] > 64 * xp.finfo(stretch.dtype).eps * stretch[:, 0]
    mirrored = (xp.linalg.det(rotation) < 0) & solid
    if not reflection:
        signs = xp.ones_like(stretch)
        signs[:, 2] = xp.sign(xp.linalg.det(rotation))
        rotation, stretch = (left * signs[:, None]) @ right, stretch * signs
    scale = stretch.sum(-1) * true_norm / unit
    return Fit(rotation, scale, from_centre, to_centre, mirrored, (norm, true_norm))


def scale_translation(predicted, truth, root=0, reference=4):
    """HO-3D's alignment without rotation: scale by one bone, then the root onto the true root.

    predicted, truth (N, J, 3) -> (N, J, 3). The bone goes from joint ``root`` to ``reference`` (in HO-3D's order
    wrist to middle-finger base); a predicted bone of length 0 is not divided by, as in the official code.
    """
    predicted, truth = _real(predicted), _real(truth)
    xp = _namespace(predicted)
    length, true_length = (
        xp.sqrt(((points[:, reference] - points[:, root]) ** 2).sum(-1))[:, None, None] for points in (predicted, truth)
    )
    scaled = predicted / xp.where(length > 0, length, xp.ones_like(length)) * true_length
    return scaled - scaled[:, root, None] + truth[:, root, None]


def to_root(predicted, truth, root=0):
    """Move ``predicted`` (N, J, 3) so that its joint ``root`` lies on the true one."""
    predicted, truth = _real(predicted), _real(truth)
    return predicted - predicted[:, root, None] + truth[:, root, None]


def _real(points):
    """Floating-point points as they are, others in float64 (lists become numpy arrays)."""
    if hasattr(points, "detach"):
        return points if points.is_floating_point() else points.double()
    points = np.asarray(points)
    return points if points.dtype.kind == "f" else points.astype(np.float64)
