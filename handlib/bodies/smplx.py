"""SMPL-X (Pavlakos et al., 2019), SMPL (Loper et al., 2015) and FLAME (Li et al., 2017) as torch layers on one core.

Equal to the smplx package's layers to 1e-6 m, in vertices and in the joints that the package derives from them.
"""

import dataclasses
import math
from pathlib import Path

import numpy as np
import roma
import torch
from torch import nn

from handlib import body_joints
from handlib.bodies import files, free_body
from handlib.bodies.skinning import Skinning, full_precision
from handlib.files import InputError

# kind -> {part of the pose: how many joints it turns}, in the order of the model's joints.
PARTS = {
    "smplx": {"root_pose": 1, "body_pose": 21, "jaw_pose": 1, "leye_pose": 1, "reye_pose": 1,
              "lhand_pose": 15, "rhand_pose": 15},
    "smpl": {"root_pose": 1, "body_pose": 23},
    "flame": {"root_pose": 1, "neck_pose": 1, "jaw_pose": 1, "leye_pose": 1, "reye_pose": 1},
}  # fmt: skip
HANDS = {"lhand_pose": "l", "rhand_pose": "r"}  # the ending of their arrays' official names
# The vertices that stand for nose, eyes, ears, feet and finger tips, in the smplx package's order of joints.
_EXTRA = {
    "smplx": (9120, 9929, 9448, 616, 6, 5770, 5780, 8846, 8463, 8474, 8635)
    + (5361, 4933, 5058, 5169, 5286, 8079, 7669, 7794, 7905, 8022),
    "smpl": (332, 6260, 2800, 4071, 583, 3216, 3226, 3387, 6617, 6624, 6787)
    + (2746, 2319, 2445, 2556, 2673, 6191, 5782, 5905, 6016, 6133),
}
JOINT_SETS = {  # what ``joint_set`` may be, the usual one first
    "smplx": ("smplx127", "smplx137", "smplx144", "smplx55"),
    "smpl": ("smpl45", "smpl24"),
    "flame": ("flame5",),
}
_OF_TREE = ("smplx55", "smpl24", "flame5")  # sets without joints made of vertices
_EXPRESSIVE = ("smplx", "flame")
_MANY_SHAPES = 300  # a file with as many shape directions has its expressions after them, a small one after 10
_FEW_SHAPES = 10
_NECK, _TURNS = 12, 39  # the joint whose turn chooses the face's contour, up to so many degrees either way


def load(path, name, dtype=torch.float32, shapes=10, expressions=10):
    """See ``handlib.bodies.load``. ``name``: "smplx_", "smpl_" or "flame_" and neutral, male or female."""
    kind, gender = name.split("_")
    if path is None or str(path) == "free":
        if kind != "smplx":
            raise InputError("bodies.load", f"there is no free '{name}'", f"give the folder or file of {kind}", "path")
        return BodyLayer(select(free_body.model(), shapes, expressions), dtype)
    return BodyLayer(select(read(path, kind, gender), shapes, expressions), dtype)


def read(path, kind, gender="neutral"):
    """The official file as a ``files.BodyModel``: ``path`` itself, or SMPLX_NEUTRAL.npz and the like in that folder."""
    path, site = Path(path), dict(files.KINDS.values())[kind]
    mend = f"get it from {site}"
    if path.is_file():
        genders = [word for word in ("neutral", "male", "female") if word in path.stem.lower().split("_")]
        if genders not in ([], [gender]):
            raise InputError(path, f"is the {genders[0]} model, the {gender} one was asked for", "name the other file")
        return files.read(path, kind)
    files.require(path, mend)
    endings = (".npz", ".pkl") if kind == "smplx" else (".pkl", ".npz")
    names = [f"{kind.upper()}_{gender.upper()}{ending}" for ending in endings]
    found = None
    for name in names:
        try:
            found = files.find(path, name, mend)
            break
        except InputError as error:
            missing = error
    if found is None:
        raise missing
    return files.read(found, kind)


def select(model, shapes=10, expressions=10, child=None):
    """The model with just these shape directions, and then expressions where its kind has them.

    ``child`` (V, 3): a template of children; the way from the model's to it becomes one more shape direction, the last
    before the expressions. InputError where the file holds fewer than asked for.
    """
    held, most = model.shapedirs.shape[2], most_shapes(model)
    expressions = expressions if model.kind in _EXPRESSIVE else 0
    first = most if expressions else 0
    if shapes > most or first + expressions > held:
        problem = f"holds {most} shapes" + (f" and {held - first} expressions" if expressions else "")
        raise InputError(model.source, problem, "ask for fewer, or use the larger file", "shapedirs")
    parts = [model.shapedirs[:, :, :shapes], model.shapedirs[:, :, first : first + expressions]]
    if child is not None:
        parts.insert(1, (child - child.mean(0) - model.v_template)[..., None])
    extra = model.extra | {"expressions": expressions}
    return dataclasses.replace(model, shapedirs=np.concatenate(parts, 2), extra=extra)


def most_shapes(model):
    """How many shape directions the file holds; what it has after them are expressions."""
    held = model.shapedirs.shape[2]
    return min(held, _MANY_SHAPES if held >= _MANY_SHAPES else _FEW_SHAPES)


class BodyLayer(nn.Module):
    """Pose, shape, expression and translation -> mesh and joints of a person (of a head, for FLAME).

    Made of what `select` returns. kind: "smplx", "smpl" or "flame"; source: where the model is from; is_free: it is the
    free body, not SMPL-X; shape_size, expression_size; parts: {name: number of rotations}; joint_sets: names of the
    sets that ``forward`` gives; faces (F, 3) int64; weights (V, J); joint_regressor (J, V);
    pose_mean (J, 3) rad, zero but for SMPL-X's hands; lhand_components and rhand_components (45, 45), one per row.
    Tensors move with the module; none is in its state dict.
    """

    def __init__(self, model, dtype=torch.float32):
        super().__init__()
        self.kind, self.source, self.parts = model.kind, model.source, PARTS[model.kind]
        self.is_free = free_body.MARK in model.extra
        self.expression_size = model.extra["expressions"]
        self.shape_size = model.shapedirs.shape[2] - self.expression_size
        self.joint_sets = JOINT_SETS[self.kind]
        self.skinning = Skinning(model, dtype)
        mean = np.zeros((sum(self.parts.values()), 3))
        self._buffer("faces", model.faces)
        self._buffer("weights", model.weights, dtype)
        self._buffer("joint_regressor", model.J_regressor, dtype)
        if self.kind == "smplx":
            mean[25:] = np.concatenate([model.need(f"hands_mean{side}", (45,)) for side in "lr"]).reshape(30, 3)
            for part, side in HANDS.items():
                self._buffer(part[:5] + "_components", model.need(f"hands_components{side}", (45, 45)), dtype)
            self._landmarks(model, dtype)
        elif self.kind == "smpl":
            self._buffer("picked", np.array(_EXTRA["smpl"]))
            self._buffer("needed", self.picked)
            self._buffer("picked_of_needed", np.arange(len(self.picked)))
        self._buffer("pose_mean", mean, dtype)
        if hasattr(self, "needed"):
            self.of_joints = self.skinning.narrowed(self.needed)

    def _buffer(self, name, array, dtype=torch.int64):
        self.register_buffer(name, torch.as_tensor(np.ascontiguousarray(array), dtype=dtype), persistent=False)

    def _landmarks(self, model, dtype):
        """Vertices and weights of the 51 landmarks, and of the contour's 17 for each of 79 turns of the neck."""
        corners = model.faces[_whole(model, "lmk_faces_idx", (51,))]
        self._buffer("picked", np.concatenate([_EXTRA["smplx"], corners.ravel()]))
        self._buffer("landmark_weights", model.need("lmk_bary_coords", (51, 3))[..., None], dtype)
        turns = 2 * _TURNS + 1
        self._buffer("contour", model.faces[_whole(model, "dynamic_lmk_faces_idx", (turns, 17))].reshape(turns, 51))
        self._buffer("contour_weights", model.need("dynamic_lmk_bary_coords", (turns, 17, 3))[..., None], dtype)
        self._buffer("from144", body_joints.FROM_SMPLX144)
        # What ``forward`` makes where joints alone are wanted, and where in it the joints' vertices are.
        needed, places = torch.cat([self.picked, self.contour.flatten()]).unique(return_inverse=True)
        self._buffer("needed", needed)
        self._buffer("picked_of_needed", places[: len(self.picked)])
        self._buffer("contour_of_needed", places[len(self.picked) :].view_as(self.contour))

    def forward(
        self, *, mean_added=None, pose_kind="rotvec", hand_pose_kind=None, shape=None, expression=None, transl=None,
        joint_set=None, transforms=False, mesh=True, **poses,
    ):  # fmt: skip
        """Arguments (any leading shapes ``…`` that broadcast; computed in the layer's dtype, under autocast too):

        poses, by the names in ``parts``; each turns its joints relative to their parents, one left out does not turn:
            ``pose_kind`` "rotvec" (…, 3 n) or (…, n, 3) axis-angle; "matrix" (…, n, 3, 3).
            SMPL-X: root_pose 1, body_pose 21, jaw_pose, leye_pose, reye_pose 1 each, lhand_pose and rhand_pose 15 each.
            SMPL: root_pose 1, body_pose 23. FLAME: root_pose, neck_pose, jaw_pose, leye_pose, reye_pose.
        hand_pose_kind: None as ``pose_kind``; "pca" (…, m) the first m components' coefficients.
        mean_added: of SMPL-X, whether the hands' poses are whole as they are (True) or offsets from the model's mean
            hands, which are then added, to a left-out hand too (False). There is no default: programs differ. Matrices
            must be whole.
        shape (…, shape_size), expression (…, expression_size), None for the mean; transl (…, 3) m; joint_set: the
            joints wanted, one of ``joint_sets`` (names: `handlib.body_joints`); transforms: return them too; mesh:
            without it "verts" is left out and only what the joints need is computed.

        Returns {"verts": (…, V, 3), "joints": (…, joints, 3)}, metres, transl added; and where asked for "transforms"
        (…, J, 4, 4), from each joint's own frame, as it turned, to the model's. Quirk of the contour (smplx144 and
        smplx137): its points are those of the whole degree of turn to the side of the neck in the model's frame, root
        included, so they jump. Raises InputError for unknown names and wrong sizes.
        """
        with full_precision(self.pose_mean.device.type):
            joint_set = self._check(poses, mean_added, pose_kind, hand_pose_kind, joint_set)
            rotations = self._rotations(poses, mean_added, pose_kind, hand_pose_kind)
            blends = [self._blend(shape, self.shape_size, "shape")]
            if self.expression_size or expression is not None:
                blends.append(self._blend(expression, self.expression_size, "expression"))
            lead = torch.broadcast_shapes(rotations.shape[:-3], *(blend.shape[:-1] for blend in blends))
            blends = torch.cat([blend.expand(*lead, -1) for blend in blends], -1)
            skinning = self.skinning if mesh or not hasattr(self, "of_joints") else self.of_joints
            verts, world = skinning.with_transforms(
                rotations.expand(*lead, *rotations.shape[-3:]).reshape(-1, *rotations.shape[-3:]),
                blends.reshape(-1, blends.shape[-1]),
            )
            joints = self._joints(verts, world, joint_set, mesh)
            out = {"verts": verts.view(*lead, *verts.shape[1:])} if mesh else {}
            out["joints"] = joints.reshape(*lead, *joints.shape[1:])
            shift = None if transl is None else self._tensor(transl).unsqueeze(-2)
            if shift is not None:
                out = {name: points + shift for name, points in out.items()}
            if transforms:
                world = world.view(*lead, *world.shape[1:])
                place = world[..., :3, 3] if shift is None else world[..., :3, 3] + shift
                moved = torch.cat([world[..., :3, :3].expand(*place.shape, 3), place.unsqueeze(-1)], -1)
                out["transforms"] = torch.cat([moved, world[..., 3:, :].expand(*moved.shape[:-2], 1, 4)], -2)
            return out

    def _check(self, poses, mean_added, pose_kind, hand_pose_kind, joint_set):
        """The joint set; InputError where an argument is unknown or what must be said is not."""
        name = f"{self.kind} layer"
        if unknown := sorted(set(poses) - set(self.parts)):
            raise InputError(name, "is no part of it", f"its parts are {', '.join(self.parts)}", unknown[0])
        if pose_kind not in ("rotvec", "matrix"):
            raise InputError(name, f"'{pose_kind}' is unknown", "give rotvec or matrix", "pose_kind")
        if hand_pose_kind not in (None, "pca"):
            raise InputError(name, f"'{hand_pose_kind}' is unknown", "give pca, or None", "hand_pose_kind")
        if self.kind == "smplx" and mean_added is None:
            mend = "give True where hand poses are whole, False where the mean hand is to be added"
            raise InputError(name, "is not given", mend, "mean_added")
        if self.kind == "smplx" and pose_kind == "matrix" and (hand_pose_kind or not mean_added):
            raise InputError(name, "a mean or components cannot go with matrices", "give True and None", "mean_added")
        joint_set = self.joint_sets[0] if joint_set is None else joint_set
        if joint_set not in self.joint_sets:
            raise InputError(name, f"'{joint_set}' is unknown", f"one of: {', '.join(self.joint_sets)}", "joint_set")
        return joint_set

    def _rotations(self, poses, mean_added, pose_kind, hand_pose_kind):
        """The whole pose as matrices (…, J, 3, 3)."""
        ends = (3,) if pose_kind == "rotvec" else (3, 3)
        rest = self.pose_mean.new_zeros(3) if pose_kind == "rotvec" else self.skinning.identity
        parts = []
        for name, count in self.parts.items():
            pose = poses.get(name)
            if pose is None:
                pose = rest.expand(count, *ends)
            elif hand_pose_kind == "pca" and name in HANDS:
                pose = self._from_components(self._tensor(pose), name).unflatten(-1, (count, 3))
            else:
                pose = self._part(self._tensor(pose), name, count, ends)
            parts.append(pose)
        lead = torch.broadcast_shapes(*(pose.shape[: -1 - len(ends)] for pose in parts))
        pose = torch.cat([pose.expand(*lead, *pose.shape[-1 - len(ends) :]) for pose in parts], -1 - len(ends))
        if pose_kind == "matrix":
            return pose
        return roma.rotvec_to_rotmat(pose if mean_added else pose + self.pose_mean)

    def _from_components(self, pose, name):
        components = getattr(self, name[:5] + "_components")
        if pose.shape[-1] > len(components):
            mend = f"give (…, m) coefficients, m up to {len(components)}"
            raise InputError(f"{self.kind} layer", f"has shape {tuple(pose.shape)}", mend, name)
        return pose @ components[: pose.shape[-1]]

    def _part(self, pose, name, count, ends):
        if tuple(pose.shape[-1 - len(ends) :]) == (count, *ends):
            return pose
        if ends == (3,) and pose.shape[-1:] == (3 * count,):
            return pose.unflatten(-1, (count, 3))
        mend = f"(…, {', '.join(map(str, (count, *ends)))})" + (f" or (…, {3 * count})" if ends == (3,) else "")
        raise InputError(f"{self.kind} layer", f"has shape {tuple(pose.shape)}", f"give {mend}", name)

    def _blend(self, value, size, name):
        value = self.pose_mean.new_zeros(size) if value is None else self._tensor(value)
        if value.shape[-1] != size:
            raise InputError(f"{self.kind} layer", f"has {value.shape[-1]} values", f"give {size}", name)
        return value

    def _joints(self, verts, world, joint_set, mesh):
        """(N, joints, 3) of the set from all vertices (N, V, 3), or without ``mesh`` those ``needed``, and transforms
        (N, J, 4, 4).
        """
        joints = world[:, :, :3, 3]
        if joint_set in _OF_TREE:
            return joints.contiguous()
        picked = verts.index_select(1, self.picked if mesh else self.picked_of_needed)
        if self.kind == "smpl":
            return torch.cat([joints, picked], 1)
        extra = len(_EXTRA["smplx"])
        landmarks = picked[:, extra:].unflatten(1, (51, 3))
        found = [joints, picked[:, :extra], (landmarks * self.landmark_weights).sum(2)]
        if joint_set != "smplx127":
            found.append(self._contour(verts, world, self.contour if mesh else self.contour_of_needed))
        found = torch.cat(found, 1)
        return found.index_select(1, self.from144) if joint_set == "smplx137" else found

    def _contour(self, verts, world, corners):
        """The 17 points of the face's outline, chosen by the neck's turn to the side; corners: places in ``verts``."""
        turn = contour_turn(world[:, _NECK, :3, :3])
        corners = corners.index_select(0, turn).unsqueeze(-1).expand(-1, -1, 3)
        corners = verts.gather(1, corners).unflatten(1, (17, 3))
        return (corners * self.contour_weights.index_select(0, turn)).sum(2)

    def _tensor(self, value):
        """In the layer's dtype; a tensor stays on its device, anything else goes to the layer's."""
        if isinstance(value, torch.Tensor):
            return value.to(self.pose_mean.dtype)
        return torch.as_tensor(value, dtype=self.pose_mean.dtype, device=self.pose_mean.device)

    def extra_repr(self):
        return f"{self.kind}, {self.source}"


def contour_turn(neck):
    """Row of the contour's tables (N,) int64 for the neck's rotation (N, 3, 3) in the model's frame.

    Rows 0..39 are turns of so many whole degrees one way, 40..78 of 1..39 degrees the other; larger turns are cut.
    """
    side = torch.atan2(-neck[:, 2, 0], torch.sqrt(neck[:, 0, 0] ** 2 + neck[:, 1, 0] ** 2))
    degrees = torch.round((-side.detach() * (180 / math.pi)).clamp(-_TURNS, _TURNS)).to(torch.int64)
    return torch.where(degrees < 0, _TURNS - degrees, degrees)


def _whole(model, name, shape):
    """Face numbers among the model's arrays, checked."""
    numbers = model.need(name, shape).astype(np.int64)
    if not 0 <= numbers.min() <= numbers.max() < len(model.faces):
        raise InputError(model.source, f"names faces outside 0..{len(model.faces) - 1}", "use the official file", name)
    return numbers
