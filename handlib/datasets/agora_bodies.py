"""The body models that AGORA's fits are of, men's, women's and the neutral one: where their roots are, and meshes."""

import numpy as np

from handlib.bodies import free_body, smplx, smplx_files
from handlib.bodies.wholebody import FREE
from handlib.datasets import agora_world
from handlib.datasets.base import fits_of
from handlib.files import InputError


class Bodies:
    """Of the folder ``bodies`` (SMPLX_MALE.npz, _FEMALE, _NEUTRAL); of the free body, whatever ``bodies`` is, where
    body_model.json in the folder ``data`` says that the fits are of that. Raises InputError when asked for a model that
    is missing.
    """

    def __init__(self, bodies, data):
        free = fits_of(data, "SMPL-X") != "SMPL-X"
        self._folder, self._data, self._roots = FREE if free else bodies, data, {}

    def root(self, gender, betas, expression):
        """(3,) m: the root joint at rest."""
        if gender not in self._roots:
            free = self._needed() == FREE
            self._roots[gender] = root_joint(free_body.model() if free else smplx.read(self._folder, "smplx", gender))
        mean, directions = self._roots[gender]
        return mean + directions @ np.concatenate([betas, expression])

    def truth(self, row, fits, where):
        """{"gt_joints_2d" (127, 2) px of 3840 x 2160, "gt_joints_3d" (127, 3) and "gt_verts" (10475, 3) m in the
        camera's frame: a list of each}, of a data frame's row without them, as AGORA's own tool makes them.

        fits: each person's parameters by name, (n,), betas whole; a child's have 11, and need smplx_kid_template.npy.
        """
        people = [
            {"params": {name: value[None] for name, value in fit.items()}, "gender": str(row["gender"][number]),
             "kid_flag": bool(row["kid"][number])}
            for number, fit in enumerate(fits)
        ]  # fmt: skip
        names = [f"{where}, person {number}" for number in range(len(people))]
        made = smplx_files.meshes(people, "smplx", self._needed(), names)
        camera, found = agora_world.camera(row), {"gt_joints_2d": [], "gt_joints_3d": [], "gt_verts": []}
        for number, meshes in enumerate(made):
            turn, shift = agora_world.placed(row, number, camera)
            joints, verts = (points.astype(np.float64) @ turn.T + shift for points in meshes)
            found["gt_joints_2d"].append(agora_world.pixels(joints, camera))
            found["gt_joints_3d"].append(joints)
            found["gt_verts"].append(verts)
        return found

    def _needed(self):
        if self._folder is None:
            files = ", ".join(f"SMPLX_{gender.upper()}.npz" for gender in free_body.GENDERS)
            mend = f"give bodies=FOLDER with {files} of https://smpl-x.is.tue.mpg.de"
            raise InputError(self._data, "holds fits of SMPL-X, whose models are needed", mend, "bodies")
        return self._folder


def root_joint(model):
    """(3,) m and (3, 10 shapes + 10 expressions) m: a body model's root joint at rest, and how it moves with them."""
    model = smplx.select(model)
    row = np.asarray(model.J_regressor[0], np.float64)
    return row @ model.v_template, np.einsum("v,vck->ck", row, model.shapedirs)
