"""Whole bodies in the common words: EHF, AGORA's validation set, UBody; MSCOCO and others against their fits; 3DPW."""

import functools

import numpy as np

from handlib import alignment, body_joints, fields, geometry
from handlib.evaluation.finding import protocol_names, refuse_hidden, truth_known
from handlib.evaluation.measured import Measured, as_printed
from handlib.files import InputError, require_choice
from handlib.networks.blocks import person
from handlib.protocols import samplewise, wholebody

OWN_PROTOCOL = ("ehf", "agora", "ubody", "pw3d")
PARTS = ("all", "hand", "face", "parts")
_BODY = body_joints.SMPLX55.joints[:22]
_OWN = {"little": "Pinky"}  # what whole-body sets call a finger otherwise than by its capital
_LONGEST = 22  # letters of a key in a caption
_LIMITS = {"body": slice(1, 22), "left": slice(22, 43), "right": slice(43, 64)}  # the pelvis is at 0


def _in_hand(side):
    """HAND21 by the names of whole-body sets."""
    yield f"{side}_Wrist"
    for joint in fields.HAND21.joints[1:]:
        yield f"{side}_{_OWN.get(joint[:-1], joint[:-1].capitalize())}_{joint[-1]}"


_NAMES = (*_BODY, *_in_hand("L"), *_in_hand("R"))


class WithMesh(Measured):
    """Errors of meshes whose truth is known; the rows of which nothing is known are left out of ``made``."""

    vertices = 0

    def __init__(self, made, pack):
        self.protocol = protocol_names(pack)[0]
        made = made.counted()
        if "verts" not in made.truth or not len(made):
            _refuse(pack)
        mine, true = (len(group["verts"][0]) for group in (made.predictions, made.truth))
        if (mine, true) != (self.vertices, self.vertices):
            problem = f"have {mine} vertices and the truth {true}; {self.protocol} takes {self.vertices}"
            raise InputError("predictions", problem, "use a network of that body model", "verts")
        self.folder = made.options(self.protocol).get("bodies", wholebody.BODIES)
        super().__init__(made, pack)
        means = {name: 1000 * samplewise.mean_within(error) for name, error in self.found.items() if name[-2:] == "_m"}
        self.each_mm = {name[:-2]: values for name, values in means.items()}  # {figure: (N,)}

    def meshes(self, rows=slice(None)):
        """(predicted, true) meshes of some frames (n, V, 3) m, float64."""
        return tuple(np.asarray(group["verts"][rows], np.float64) for group in (self.made.predictions, self.made.truth))

    def _by_rows(self, function):
        """``function(rows)`` -> (n, ...), called for few frames at a time, joined."""
        starts = range(0, len(self.made), samplewise.ROWS)
        return np.concatenate([function(slice(start, start + samplewise.ROWS)) for start in starts])

    def facts(self, data, root_depth, net):
        official, split = self._official(), self.pack.manifest["split"]
        own = self.pack.manifest["dataset"] in OWN_PROTOCOL  # others are not put beside its published rows
        whole = official and self.pack.manifest["fits_of"] in ("SMPL-X", "SMPL") and len(self.made) == len(self.pack)
        words = f"{data}: {self.pack.manifest['dataset']} {split}, {self.pack.manifest['fits_of']}"
        return {
            "split": {"validation": "val"}.get(split, split) if own else f"{self.pack.manifest['dataset']} {split}",
            "data": official if whole else f"{words}, {len(self.made)} persons",
            "note": self._note(),
        }

    def _official(self):
        """How published rows name these data; None where they are not the whole official split."""
        return None

    def _note(self):
        return None

    @property
    def main(self):
        """Of the figures as they are printed."""
        return as_printed(self.figures, self.protocol).index[0]

    def frames(self):
        known = [name for name in ("picture", "person", "scene", "sequence", "subject", "camera", "gender")
                 if name in self.index]  # fmt: skip
        return self.index[["key", *known]].assign(**{f"{name}_mm": values for name, values in self.each_mm.items()})

    def captions(self, rows, places=1):
        keys = [key if len(key) <= _LONGEST else f"…{key[-_LONGEST:]}" for key in self.index["key"].iloc[rows]]
        return [f"{key}, {mm:.{places}f} mm" for key, mm in zip(keys, self.frame_mm[rows], strict=True)]

    def meshes_in_crops(self, items, rows):
        """Predicted meshes (n, V, 3) m before the virtual camera, and that camera in pixels of the crops (n, 3, 3)."""
        size = np.array(items[0]["image"].shape[:0:-1], float)
        focal = person.FOCAL * size / person.PERSON
        K = geometry.intrinsics(focal, size / 2)
        return self.meshes(rows)[0], np.repeat(K[None], len(items), 0)

    def true_in_crops(self, items, rows):
        """True meshes (n, V, 3) m in the camera's frame, and the camera in pixels of the crops; None where the camera
        is not known.
        """
        return (self.meshes(rows)[1], np.stack([_crop_K(item["meta"]) for item in items])) if self.seen else None

    @property
    def seen(self):
        """Whether the pack's camera is the one that the true meshes stand before (OSX's files of AGORA have none)."""
        manifest = self.pack.manifest
        return (manifest["dataset"], manifest["options"].get("source")) != ("agora", "osx")


class WholeBody(WithMesh):
    """SMPL-X: joints are 22 of the body, from the pelvis, then left and right hand in HAND21's order, from the wrist;
    all regressed from both meshes. ``frame_mm`` is the MPVPE of all vertices.
    """

    joint_names = (*_BODY, *(f"{side}_{joint}" for side in "lr" for joint in fields.HAND21.joints))
    vertices = wholebody.VERTICES["smplx"]

    def __init__(self, made, pack):
        super().__init__(made, pack)
        self.frame_mm = self.each_mm["mpvpe_all"]

    @functools.cached_property
    def body(self):
        """`wholebody.Parts` of these meshes."""
        return wholebody.parts(str(self.folder))

    @functools.cached_property
    def _rows64(self):
        every = wholebody.regressor(str(self.folder), "smplx", "joints")[: len(_BODY)]
        return np.concatenate([every, *self.body.joints["hand"]])

    def _joints_mm(self):
        return 1000 * self._by_rows(self._distances)

    def _distances(self, rows):
        mine, true = (_relative(self._rows64 @ mesh) for mesh in self.meshes(rows))
        return np.linalg.norm(mine - true, axis=-1)

    def vertex_errors(self, rows, part="all", aligned=False):
        """Distances (n, 10475) mm of some frames' vertices; NaN for those that do not belong to the part.

        part: "all" after moving the pelvis, "hand" each after moving its wrist, "face" after moving the neck, "parts"
        hands and face so and the rest as "all". aligned: after a similarity fit on the part's vertices instead, each
        hand for itself.
        """
        require_choice("part", part, PARTS)
        mesh, true = self.meshes(rows)
        errors = np.full(mesh.shape[:2], np.nan)
        for ids, root in sum((self.body.vertices[one] for one in _made_of(part)), []):
            ids = np.arange(mesh.shape[1]) if ids is None else ids
            points, target = mesh[:, ids], true[:, ids]
            if aligned:
                points, _ = alignment.similarity(points, target, reflection=False)
            else:
                points = points + (self.body.roots[root] @ true - self.body.roots[root] @ mesh)[:, None]
            errors[:, ids] = 1000 * np.linalg.norm(points - target, axis=-1)
        return errors

    def vertices_mm(self, part="all", aligned=False):
        """The mean error of each vertex (10475,), see `vertex_errors`."""
        starts, total = range(0, len(self.made), samplewise.ROWS), 0
        for start in starts:
            total = total + self.vertex_errors(slice(start, start + samplewise.ROWS), part, aligned).sum(0)
        return total / len(self.made)

    def curves(self):
        rows, mm = np.arange(len(self.made)), self.joints_mm
        hands = np.concatenate([mm[:, _LIMITS[side]][:, 1:] for side in ("left", "right")], 1)
        return {"body, pelvis together": (rows, mm[:, _LIMITS["body"]]), "hands, wrists together": (rows, hands)}

    def on_hands(self, values):
        values = np.asarray(values, float)
        return {side: values[_LIMITS[side]] for side in ("right", "left")}

    def in_crops(self, items, rows):
        """64 joints as ``joint_names``; the true ones as annotated, those that are not as the true mesh has them."""
        places = [body_joints.SMPLX144.joints.index(name) for name in _NAMES]
        pixels = np.asarray(self.made.predictions["joints_img"][rows], np.float64)[:, places]
        inverses = [geometry.invert_affine(item["meta"]["picture_inverse"]) for item in items]
        predicted = [geometry.apply_affine(one, affine) for one, affine in zip(pixels, inverses, strict=True)]
        true = [self._true_in_crop(item, row) for item, row in zip(items, rows, strict=True)]
        return predicted, [points for points, _ in true], [known for _, known in true]

    def _true_in_crop(self, item, row):
        sample, affine = self.pack[int(self.made.index[row])], np.asarray(item["meta"]["affine"], np.float64)
        pixels, known = body_joints.by_name(
            np.asarray(sample["person_joints_img"], np.float64), np.asarray(sample["person_joints_valid"]),
            body_joints.SMPLX137, _SET64,
        )  # fmt: skip
        if self.seen:
            joints = self._rows64 @ self.meshes([row])[1][0]
            before = joints[:, 2] > 0
            ours = geometry.project(np.where(before[:, None], joints, 1.0), np.asarray(sample["K"]), eps=0.0)
            pixels, known = np.where(known[:, None], pixels, ours), known | before
        return geometry.apply_affine(pixels, affine), known

    def in_camera(self, rows):
        """{place in the pack: joints (64, 3)} m, before the virtual camera."""
        joints = self._rows64 @ self.meshes(rows)[0]
        return dict(zip(self.made.index[rows], joints, strict=True))

    def _official(self):
        manifest = self.pack.manifest
        if manifest["dataset"] == "ehf" and len(self.pack) == 100:
            return "EHF, 100 frames"
        osx = manifest["options"].get("source") == "osx" and manifest["split"] == "validation"
        return "AGORA validation" if osx and not manifest["skipped"]["reasons"].keys() - _NOBODY else None

    def _note(self):
        dataset = self.pack.manifest["dataset"]
        if "smplx_verts" in self.pack.manifest["arrays"]:
            return "truth: the data set's own vertices"
        if dataset in ("agora", "ubody"):
            return "truth: the neutral body model with the data set's parameters"
        return "truth: meshes of the fits, as EHF's are scored; there is no official protocol"


class Body(WithMesh):
    """SMPL on 3DPW: 14 of Human3.6M's joints, from the pelvis."""

    joint_names = tuple(body_joints.HUMAN36M17.joints[row] for row in wholebody.H36M_14)
    vertices = wholebody.VERTICES["smpl"]

    def _joints_mm(self):
        return 1000 * self.found["mpjpe_m"]

    def curves(self):
        rows = np.arange(len(self.made))
        return {"pelvis together": (rows, self.joints_mm), "aligned (PA)": (rows, 1000 * self.found["pa_mpjpe_m"])}

    def on_hands(self, values):
        return {}

    def vertex_errors(self, rows, part="all", aligned=False):
        """Distances (n, 6890) mm of some frames' vertices, the regressed pelvis moved, or after a similarity fit."""
        mesh, true = self.meshes(rows)
        root = wholebody.regressor(str(self.folder), "smpl", "h36m")[0]
        if aligned:
            moved, _ = alignment.similarity(mesh, true, reflection=False)
        else:
            moved = mesh + (root @ true - root @ mesh)[:, None]
        return 1000 * np.linalg.norm(moved - true, axis=-1)

    def vertices_mm(self, part="all", aligned=False):
        return self._by_rows(lambda rows: self.vertex_errors(rows, part, aligned)).mean(0)

    def _official(self):
        manifest = self.pack.manifest
        return "3DPW test" if manifest["split"] == "test" and not manifest["skipped"]["reasons"] else None


_NOBODY = {"person is marked as not valid"}  # left out by the published code, too
_SET64 = fields.JointSet("evaluated64", _NAMES, ())


def _refuse(pack):
    """Raise InputError: there is no truth to measure with."""
    if not truth_known(pack):
        refuse_hidden(pack)
    problem = f"has fits of {pack.manifest['fits_of']}, and the network another body model"
    mend = "predict with a network on that model, bodies=FOLDER (3DPW: pose2pose_body with SMPL)"
    raise InputError(pack.folder, problem, mend, "fits_of")


def _made_of(part):
    return ("all", "hand", "face") if part == "parts" else (part,)


def _relative(joints):
    """(n, 64, 3): the body from the pelvis, hands from their wrists."""
    out = joints - joints[:, :1]
    for side in ("left", "right"):
        rows = _LIMITS[side]
        out[:, rows] = joints[:, rows] - joints[:, rows][:, :1]
    return out


def _crop_K(meta):
    """(3, 3): camera -> pixels of the crop."""
    return np.concatenate([np.asarray(meta["affine"], float), [[0, 0, 1]]]) @ np.asarray(meta["K"], float)
