"""MANO (Romero et al., "Embodied Hands", 2017) as a torch layer; equal to the smplx package's to 1e-6 m."""

import warnings
from pathlib import Path

import numpy as np
import roma
import torch
from torch import nn

from handlib import fields
from handlib.bodies import files, free, left_shapedirs, parts
from handlib.bodies.skinning import Skinning, full_precision
from handlib.files import InputError

# Finger tips are mesh vertices, and everyone takes others: thumb, index, middle, ring, little.
TIPS = {
    "manopth": (745, 317, 444, 556, 673),  # manopth, manotorch, HandTailor
    "handoccnet": (745, 317, 444, 556, 673),  # what HandOccNet computes with
    "handoccnet_wrapper": (728, 353, 442, 576, 694),  # listed in its MANO wrapper, which its figures do not use
    "freihand": (744, 320, 443, 555, 672),  # FreiHAND toolkit
    "oakink": (744, 320, 443, 555, 672),  # OakInk's reader
    "ho3d": (744, 333, 444, 555, 672),
    "pose2pose": (745, 317, 445, 556, 673),  # hand-only Pose2Pose, I2L-MeshNet
    "smplx": (744, 320, 443, 554, 671),  # smplx package, HaMeR
}
_FILES = {"right": "MANO_RIGHT.pkl", "left": "MANO_LEFT.pkl"}
_MEND = "get it from https://mano.is.tue.mpg.de (mano_v1_2.zip), or give None for the free hand"
_WITH_TIPS = fields.JointSet("mano16 and tips", fields.MANO16.joints + tuple(f"{f}4" for f in fields.FINGERS), ())
_TO_HAND21 = fields.reorder(_WITH_TIPS, fields.HAND21).tolist()


def load(path, name, dtype=torch.float32, fix_left_shapedirs=True, part_labels=None):
    """See ``handlib.bodies.load``. ``name``: "mano_right" or "mano_left"."""
    side = name.removeprefix("mano_")
    labels = None if part_labels is None else parts.read_published(part_labels)
    if path is None or str(path) == "free":
        return ManoLayer(free.model(side), side, dtype, labels=labels)
    path = Path(path)
    file = path if path.is_file() else files.find(files.require(path, _MEND), _FILES[side], _MEND)
    other = "left" if side == "right" else "right"
    if other in file.stem.lower():
        raise InputError(file, f"is the file of the {other} hand, '{name}' was asked for", "name the other file")
    model, corrections = files.read(file, "mano"), []
    if side == "left" and fix_left_shapedirs and free.MARK not in model.extra:
        model, corrections = _fix_left(model, file)
    layer = ManoLayer(model, side, dtype, corrections, labels)
    layer.file = file
    return layer


def _fix_left(left, file):
    """The left hand with its shape directions' sign put right where that is needed, and what was done."""
    beside = file.with_name(file.name.replace("LEFT", "RIGHT").replace("left", "right"))
    right = files.read(beside, "mano") if beside != file and beside.is_file() else None
    faulty = left_shapedirs.is_faulty(left, right)
    if faulty is None:
        warnings.warn(
            f"{file}: whether its shape directions have the known sign error cannot be told without {beside.name} "
            "beside it; they are used as they are",
            stacklevel=4,
        )
    if not faulty:
        return left, []
    seen = "from its strongest shape direction alone" if right is None else f"beside {beside.name}"
    note = f"shapedirs: sign of x corrected (known error of MANO_LEFT.pkl, seen {seen})"
    return left_shapedirs.corrected(left), [note]


class ManoLayer(nn.Module):
    """Pose, shape and translation -> mesh and joints of one hand.

    side: "right" or "left"; source: where the model comes from, in words; file: its file, None where it is from none;
    is_free: it is the free hand, not MANO;
    corrections: what was put right in the file, in words; faces (1538, 3) int64; weights (778, 16) skinning weights;
    joint_regressor (16, 778) rest mesh to rest joints; hands_mean (45,) rad; components (45, 45), one per row, fewer
    where the argument ``components`` says that ``model`` holds fewer. Tensors move with the module; none is in its
    state dict.
    """

    def __init__(self, model, side, dtype=torch.float32, corrections=(), labels=None, components=45):
        super().__init__()
        self._labels, self.file = labels, None
        self.side, self.corrections = side, tuple(corrections)
        self.is_free = free.MARK in model.extra
        self.source = free.SOURCE if self.is_free else f"MANO {side} hand from {model.source}"
        self.skinning = Skinning(model, dtype)
        self.shape_size = model.shapedirs.shape[2]
        for name, array in {
            "faces": torch.from_numpy(model.faces),
            "weights": torch.as_tensor(model.weights, dtype=dtype),
            "joint_regressor": torch.as_tensor(model.J_regressor, dtype=dtype),
            "hands_mean": torch.as_tensor(model.need("hands_mean", (45,)), dtype=dtype),
            "components": torch.as_tensor(model.need("hands_components", (components, 45)), dtype=dtype),
        }.items():
            self.register_buffer(name, array, persistent=False)

    def forward(self, *, pose, mean_added, shape=None, transl=None, pose_kind="rotvec", transforms=False):
        """Arguments (any leading shapes ``…`` that broadcast; computed in the layer's dtype, under autocast too):

        pose: global orientation first, then the 15 joints in MANO's order, as ``pose_kind`` says:
            "rotvec" (…, 48) axis-angle; "pca" (…, 3 + n), axis-angle and the first n components' coefficients;
            "matrix" (…, 16, 3, 3); "sixd" (…, 16, 6), a matrix's first column and then its second.
        mean_added: True where the pose is whole as it is; False where it is an offset from the model's mean pose, which
            is then added (only "rotvec" and "pca" can be). There is no default: data sets differ.
        shape (…, 10), None for the mean shape; transl (…, 3) metres, None for none; transforms: whether to return them.

        Returns {"verts": (…, 778, 3), "joints": (…, 16, 3)}, metres; the wrist is where the model puts it, plus transl;
        and where asked for "transforms" (…, 16, 4, 4), from each joint's own frame, as it turned, to the hand's.
        Raises InputError for an unknown pose kind, a wrong size, or a mean that cannot be added.
        """
        with full_precision(self.hands_mean.device.type):
            rotations = self.rotations(pose, mean_added, pose_kind)
            shape = rotations.new_zeros(self.shape_size) if shape is None else self._tensor(shape)
            if shape.shape[-1] != self.shape_size:
                raise InputError("MANO layer", f"has {shape.shape[-1]} values", f"give {self.shape_size}", "shape")
            lead = torch.broadcast_shapes(rotations.shape[:-3], shape.shape[:-1])
            verts, world = self.skinning.with_transforms(
                rotations.expand(*lead, 16, 3, 3).reshape(-1, 16, 3, 3),
                shape.expand(*lead, self.shape_size).reshape(-1, self.shape_size),
            )
            world = world.view(*lead, 16, 4, 4)
            out = {"verts": verts.view(*lead, *verts.shape[1:]), "joints": world[..., :3, 3].contiguous()}
            if transl is not None:
                shift = self._tensor(transl).unsqueeze(-2)
                out = {name: points + shift for name, points in out.items()}
            if transforms:
                moved = torch.cat([world[..., :3, :3], out["joints"].unsqueeze(-1)], -1)
                out["transforms"] = torch.cat([moved, world[..., 3:, :].expand(*moved.shape[:-2], 1, 4)], -2)
            return out

    def rotations(self, pose, mean_added, pose_kind):
        """The pose as rotation matrices (…, 16, 3, 3); arguments as in ``forward``."""
        pose = self._tensor(pose)
        sizes = {"rotvec": (48,), "pca": (pose.shape[-1],), "matrix": (16, 3, 3), "sixd": (16, 6)}
        if pose_kind not in sizes:
            raise InputError("MANO layer", f"'{pose_kind}' is unknown", f"one of: {', '.join(sizes)}", "pose_kind")
        size = sizes[pose_kind]
        if tuple(pose.shape[-len(size) :]) != size or not (
            pose_kind != "pca" or 3 <= size[0] <= 3 + len(self.components)
        ):
            raise InputError("MANO layer", f"has shape {tuple(pose.shape)}", f"(…, {size}) for '{pose_kind}'", "pose")
        if pose_kind in ("matrix", "sixd"):
            if not mean_added:
                raise InputError("MANO layer", f"a mean cannot be added to '{pose_kind}'", "give True", "mean_added")
            return pose if pose_kind == "matrix" else roma.special_gramschmidt(pose.unflatten(-1, (2, 3)).mT, 1e-12)
        hand = pose[..., 3:]
        if pose_kind == "pca":
            hand = hand @ self.components[: hand.shape[-1]]
        if not mean_added:
            hand = hand + self.hands_mean
        return roma.rotvec_to_rotmat(torch.cat([pose[..., :3], hand], -1).unflatten(-1, (16, 3)))

    def _tensor(self, value):
        """In the layer's dtype; a tensor stays on its device, anything else goes to the layer's."""
        if isinstance(value, torch.Tensor):
            return value.to(self.hands_mean.dtype)
        return torch.as_tensor(value, dtype=self.hands_mean.dtype, device=self.hands_mean.device)

    def part_labels(self, of="vertices"):
        """Label k is the part of MANO joint k: numpy (778,), or (1538,) of "faces".

        From the skinning weights, or from the published list where one was given when loading.
        """
        weights, faces = self.weights.cpu().numpy(), self.faces.cpu().numpy()
        if self._labels is not None:
            return self._labels if of == "vertices" else parts.face_labels_from_corners(self._labels, faces)
        return parts.vertex_labels(weights) if of == "vertices" else parts.face_labels(weights, faces)

    def part_classes(self, of="faces"):
        """The same as class ids of DIGIT's part masks (uint8): 1..16 on a right hand, 17..32 on a left one."""
        return parts.digit_classes(self.part_labels(of), self.side)

    def extra_repr(self):
        return ", ".join([self.side, self.source, *self.corrections])


def joints21(verts, joints, tips="manopth"):
    """MANO's 16 joints and five finger-tip vertices -> 21 joints in house order (``fields.HAND21``).

    Arguments: ``verts`` (…, 778, 3), ``joints`` (…, 16, 3), numpy or torch; ``tips``: a name in ``TIPS`` or five vertex
    indices from thumb to little finger. A published figure needs its own project's set. Raises InputError for a name
    that is not there.
    """
    if isinstance(tips, str) and tips not in TIPS:
        raise InputError("joints21", f"'{tips}' is unknown", f"one of: {', '.join(TIPS)}", "tips")
    ids = list(TIPS[tips] if isinstance(tips, str) else tips)
    both = (joints, verts[..., ids, :])
    stacked = torch.cat(both, -2) if isinstance(joints, torch.Tensor) else np.concatenate(both, -2)
    return stacked[..., _TO_HAND21, :]


def fit_error(joints, truth, valid):
    """How well a fitted mesh explains annotated joints: mean distance over the valid ones, in the unit given.

    Arguments: ``joints`` and ``truth`` (…, N, 3), ``valid`` (…, N) bool. Returns (…,); NaN where none is valid, as in
    DIGIT, which takes NaN for "there is a fit" all the same.
    """
    distance = np.linalg.norm(np.asarray(joints) - np.asarray(truth), axis=-1)
    valid = np.broadcast_to(valid, distance.shape)
    count = valid.sum(-1)
    return np.where(count > 0, (distance * valid).sum(-1) / np.maximum(count, 1), np.nan)
