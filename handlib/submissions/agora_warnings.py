"""What AGORA's server accepts, and its evaluator stops at or misjudges."""

import numpy as np

from handlib.submissions.agora_format import PARAMETERS, not_finite

SMALL = (1280, 720)
_ENOUGH = 10  # people, before the picture size is guessed from where they stand
_FAR, _TALL = 200.0, 5.0  # metres: no person of AGORA is as far or as tall
_BEHIND = 2.0  # metres
_PROJECT_JOINTS = 137  # Hand4Whole's and OSX's own set
# Where the two orders differ among the first 24: SMPL-X number -> row of the 137
_PROJECT_ROWS = {0: 0, 1: 1, 2: 2, 4: 3, 5: 4, 7: 5, 8: 6, 12: 7, 16: 8, 17: 9, 18: 10, 19: 11, 20: 12, 21: 13}


class Watch:
    """Looks at one person after the other (`person`), then at what they have in common (`all`)."""

    def __init__(self, server):
        self.server, self.count, self.corner = server, 0, np.zeros(2)
        self._forms, self._first_kid, self._betas = {}, None, {}

    def person(self, name, person):
        """Texts on this person; remembers what `all` needs."""
        for key, problem in not_finite(person):
            yield f"key '{key}' {problem}, which makes every figure NaN or stops the evaluator"
        yield from _joints(person)
        yield from _metres(person)
        if person.get("age") == "kid":
            yield "key 'age' is not read: a child needs kid_flag True and 11 betas"
        joints = person.get("joints")
        if _is_points(joints, 2):
            self.count += 1
            self.corner = np.maximum(self.corner, joints.reshape(-1, joints.shape[-1])[:, :2].max(0))
        if isinstance(person.get("params"), dict) and "verts" not in person:
            self._remember(name, person)

    def _remember(self, name, person):
        form = "matrices" if not person.get("pose2rot", True) else "vectors"
        self._forms.setdefault(form, name)
        if person.get("kid_flag"):
            self._first_kid = self._first_kid or (
                name if person.get("num_betas", 10) == 11 and not self._betas else None
            )
        else:
            self._betas.setdefault(person.get("num_betas", 10), name)

    def all(self):
        """Texts on the whole submission."""
        if len(self._forms) > 1:
            yield (
                f"rotations are vectors in {self._forms['vectors']} and matrices in {self._forms['matrices']}: the "
                "evaluator builds its models for the first kind it meets and stops at the other"
            )
        if len(self._betas) > 1:
            names = ", ".join(f"{count} in {name}" for count, name in self._betas.items())
            yield f"num_betas differs ({names}): the evaluator builds its models for the first and stops at the others"
        if self.server == "agora_smplx" and self._first_kid and self._betas:
            yield (
                f"{self._first_kid}, a child with num_betas 11, sorts before every adult: the evaluator may build its "
                "models with 11 betas and stop at adults with 10; number the persons so that an adult comes first"
            )
        if self.count >= _ENOUGH and (self.corner > 0).all() and (self.corner <= np.multiply(SMALL, 1.05)).all():
            yield (
                f"all 2D joints lie within {self.corner.round().astype(int).tolist()}: they look like pixels of the "
                "1280 x 720 images; multiply them by 3"
            )


def images(found, wanted):
    """Texts on images that are missing or unknown; ``wanted``: all image names, None when they are not known."""
    renamed = [name for name in found if "_1280x720" in name]
    if renamed:
        yield f"'{renamed[0]}' and {len(renamed) - 1} more keep '_1280x720' in their names: no image is called so"
    if wanted is None:
        return
    wanted = {name if name.endswith(".png") else f"{name}.png" for name in map(str, wanted)}
    unknown, missing = sorted(set(found) - wanted), sorted(wanted - set(found))
    if unknown:
        yield f"{len(unknown)} images are not in the set and will not be looked at, such as '{unknown[0]}'"
    if missing:
        yield f"{len(missing)} of {len(wanted)} images have no person, such as '{missing[0]}': all of theirs are misses"


def _is_numbers(array):
    return isinstance(array, np.ndarray) and array.dtype.kind in "fiu"


def _is_points(array, columns):
    return _is_numbers(array) and array.ndim >= 2 and array.shape[-1] >= columns and array.size > 0


def _joints(person):
    joints = person.get("joints")
    if not _is_points(joints, 2):
        return
    flat = joints.reshape(-1, joints.shape[-1])[:, :2].astype(np.float64)
    if len(flat) == _PROJECT_JOINTS or _in_project_order(flat, person.get("allSmplJoints3d")):
        yield (
            "key 'joints' seems to be in the 137-joint order of Hand4Whole and OSX, not in SMPL-X order: other body "
            "parts are compared beyond the third joint, and people mismatched"
        )
    if np.ptp(flat[:24], 0).max(initial=0) < 1:
        yield "key 'joints' spans less than one pixel: they look normalised, not in pixels of 3840 x 2160"


def _in_project_order(flat, joints):
    """Whether the 2D joints are the projection of the 3D ones only when read in the projects' order."""
    if not _is_points(joints, 3):
        return False
    points = joints.reshape(-1, joints.shape[-1])[:, :3].astype(np.float64)
    if len(points) < 22 or len(flat) < 14 or not (np.isfinite(points).all() and np.isfinite(flat).all()):
        return False
    if (points[:22, 2] <= 0).any():
        return False
    model, rows = list(_PROJECT_ROWS), list(_PROJECT_ROWS.values())
    ours, theirs = (_misfit(points[model], flat[rows]) for rows in (model, rows))
    return theirs < 0.25 * ours


def _misfit(points, pixels):
    """Root mean square distance, pixels, of the best pinhole projection of these points with free focal and centre."""
    left = np.zeros((2 * len(points), 3))
    left[0::2, 0], left[1::2, 0] = points[:, 0] / points[:, 2], points[:, 1] / points[:, 2]
    left[0::2, 1] = left[1::2, 2] = 1
    fit = left @ np.linalg.lstsq(left, pixels.ravel(), rcond=None)[0]
    return np.sqrt(((fit - pixels.ravel()) ** 2).mean())


def _metres(person):
    for key in ("verts", "allSmplJoints3d"):
        points = person.get(key)
        if _is_points(points, 3) and points.size and np.isfinite(points).all():
            flat = points.reshape(-1, points.shape[-1])
            if np.ptp(flat, 0).max() > _TALL or np.abs(flat.mean(0)).max() > _FAR:
                yield f"key '{key}' spans {np.ptp(flat, 0).max():.0f} m: it looks like millimetres; give metres"
            elif flat[:, 2].mean() < -_BEHIND:  # about the origin is legal: errors are root-relative
                yield f"key '{key}' lies behind the camera (z < 0): give the camera frame, x right, y down, z forward"
    params = person.get("params")
    for key in PARAMETERS["agora_smplx"] if isinstance(params, dict) else ():
        array = params.get(key)
        if key == "transl" and _is_numbers(array) and np.abs(array).max(initial=0) > _FAR:
            yield f"key 'transl' is {np.abs(array).max():.0f} m long: it looks like millimetres; give metres"
