"""HO-3D, DexYCB and FreiHAND in the common words: one hand and its mesh, the wrist at its true place."""

import numpy as np

from handlib import fields, geometry
from handlib.evaluation.finding import protocol_names
from handlib.evaluation.measured import Measured
from handlib.submissions.hands import SERVERS


class ManoHand(Measured):
    """21 joints and a mesh in the camera's frame; joints in the house's order whatever the benchmark's.

    aligned: the name of the aligned joints' errors among those that the protocol gives. ``joints``, ``verts``:
    {"predictions", "truth"} -> (N, 21, 3), (N, 778, 3) m; ``verts`` lacks a truth that is not known.
    """

    joint_names, aligned, main = fields.HAND21.joints, "", "pa_mpjpe_mm"

    def __init__(self, made, pack):
        self.protocol = protocol_names(pack)[0]
        groups = {"predictions": made.predictions, "truth": made.truth}
        self.joints, self.verts = ({name: points for name, arrays in groups.items()
                                    if (points := find(arrays)) is not None}
                                   for find in (self._joints_of, self._verts_of))  # fmt: skip
        super().__init__(made, pack)

    def _joints_of(self, arrays):
        return self.frame.house(arrays["xyz"], joints=True) if "xyz" in arrays else None

    def _verts_of(self, arrays):
        return self.frame.house(arrays["verts"]) if "verts" in arrays else None

    @property
    def frame(self):
        """The order and the axes of the benchmark's arrays."""
        return SERVERS[self.protocol].frame

    def _joints_mm(self):
        return _mm(self.joints)

    def _aligned_mm(self):
        errors = 1000 * self.found[self.aligned]
        return errors[:, fields.reorder(self.frame.joints, fields.HAND21)]

    def facts(self, data, root_depth, net):
        split, count = self.pack.manifest["split"], len(self.made)
        whole = self._official() if self.pack.manifest["fits_of"] == "MANO" and count == len(self.pack) else None
        return {
            "split": self._split(),
            "data": whole or f"{data}: {self._named()} {split}, {self.pack.manifest['fits_of']}, {count} frames",
            "root_depth": "ground truth (wrist)",
            "note": f"mesh: {self.made.facts.get('mesh', 'none')}",
        }

    def _split(self):
        return self.pack.manifest["split"]

    def _named(self):
        """The data set's name, as published tables write it."""
        raise NotImplementedError

    def _official(self):
        """How published rows name these data; None where they are not the whole official split."""
        raise NotImplementedError

    def curves(self):
        rows, fingers = np.arange(len(self.made)), slice(1, None)  # the wrist is at 0 before it is aligned
        return {"wrists together": (rows, self.joints_mm[:, fingers]), "aligned (PA)": (rows, self._aligned_mm())}

    def on_hands(self, values):
        return {"right": np.asarray(values, float)}

    def vertices_mm(self):
        return _mm(self.verts).mean(0) if "truth" in self.verts else None

    def in_crops(self, items, rows):
        pairs = zip(self.joints["predictions"][rows], items, strict=True)
        predicted = [_in_crop(joints, item["meta"]) for joints, item in pairs]
        return predicted, [_true_in_crop(item) for item in items], [item["meta"]["joints_valid"] for item in items]

    def meshes_in_crops(self, items, rows):
        pairs = zip(self.verts["predictions"][rows], items, strict=True)
        mirrored = [_mirrored(points, item["meta"]) for points, item in pairs]
        return np.stack(mirrored), np.stack([_crop_K(item["meta"]) for item in items])

    def in_camera(self, rows):
        return dict(zip(self.made.index[rows], self.joints["predictions"][rows, None], strict=True))

    def frames(self):
        known = [name for name in ("object", "subject", "camera", "sequence", "background") if name in self.index]
        table = self.index[["key", "hands", *known]]
        table = table.assign(mpjpe_mm=self.frame_mm, pa_mpjpe_mm=self._aligned_mm().mean(1))
        return table.assign(mpvpe_mm=_mm(self.verts).mean(1)) if "truth" in self.verts else table


class HO3D(ManoHand):
    """HO-3D v2 and v3."""

    aligned = "xyz_procrustes_al_m"

    def _named(self):
        return f"HO-3D {self.protocol.removeprefix('ho3d_')}"

    def _official(self):
        samples = SERVERS[self.protocol].samples
        whole = self.pack.manifest["split"] == "evaluation" and len(self.made) == samples
        return f"{self._named()} evaluation split, {samples} samples" if whole else None


class FreiHand(ManoHand):
    """FreiHAND."""

    aligned = "xyz_al_m"

    def _named(self):
        return "FreiHAND"

    def _official(self):
        samples = SERVERS["freihand"].samples
        whole = self.pack.manifest["split"] == "evaluation" and len(self.made) == samples
        return f"FreiHAND evaluation set, {samples} samples" if whole else None


class DexYCB(ManoHand):
    """DexYCB, right and left hands; errors on a drawn hand are those of both together."""

    aligned, main = "pa_mpjpe_m", "MPJPE_mm"

    def _joints_of(self, arrays):
        scale = 1000 if "hand_type" not in arrays else 1  # of predictions millimetres, of the truth metres
        return np.asarray(arrays["joint_3d"], float) / scale if "joint_3d" in arrays else None

    def _verts_of(self, arrays):
        return arrays.get("verts_cam")

    def _aligned_mm(self):
        return 1000 * self.found[self.aligned]

    def _setup(self):
        return self.pack.manifest["setup"]

    def _split(self):
        split = self.pack.manifest["split"]
        return self._setup() if split == "test" else f"{self._setup()} {split}"

    def _named(self):
        return f"DexYCB {self._setup()}"

    def _official(self):
        manifest = self.pack.manifest
        whole = manifest["split"] == "test" and not manifest["skipped"]["reasons"].keys() - _NO_HAND
        whole = whole and (manifest["official_ids"] or manifest["options"].get("source") == "derived")
        return f"DexYCB {self._setup()} test" if whole else None


_NO_HAND = {"no hand in the picture"}  # the published figures leave them out, too


def _mm(points):
    """Distances (N, P) of predicted and true points."""
    return 1000 * np.linalg.norm(points["predictions"] - points["truth"], axis=-1)


def _mirrored(points, meta):
    """Camera points (P, 3) as the crop shows them."""
    return points * np.array([-1.0, 1, 1]) if meta["flipped"] else np.asarray(points, float)


def _crop_K(meta):
    """(3, 3): camera -> pixels of the crop; of the mirrored picture where the hand is a left one."""
    K = np.array(meta["K"], float)
    if meta["flipped"]:
        K[0, 2] = meta["hw_size"][1] - 1 - K[0, 2]
    affine = np.asarray(meta["affine"], float)
    return np.concatenate([affine, [[0, 0, 1]]]) @ K


def _true_in_crop(item):
    """The true joints in pixels of the crop (21, 2); those that are not known are anywhere."""
    if "joints_img" in item["targets"]:
        return item["targets"]["joints_img"] * np.array(item["image"].shape[:0:-1])
    meta = item["meta"]  # Pose2Pose's targets leave out joints that are those of a fit
    return _in_crop(np.where(meta["joints_valid"][:, None], meta["joints_cam"], (0, 0, 1)), meta)


def _in_crop(points, meta):
    """Camera points (P, 3) m -> pixels of the crop (P, 2)."""
    return geometry.project_homogeneous(_mirrored(points, meta), _crop_K(meta), eps=0.0)
