"""A network's answers measured, in the same words for every benchmark: so the same cells look at all of them.

    made = evaluation.with_mesh(training.predict(net, pack), pack, layer)   # fitted, where a network gives joints alone
    seen = evaluation.measured(made, pack)
    seen.figures, seen.joints_mm, seen.frames(), seen.in_crops(items, rows), …

The pack decides the benchmark. To add one: a class below, named in ``_MEASURED``.
"""

import copy
import time
import warnings
from pathlib import Path

import numpy as np
import pandas
import torch

from handlib import (
    alignment,
    analysis,
    bodies,
    fields,
    fitting,
    geometry,
    metrics,
    networks,
    packs,
    protocols,
    runs,
    tables,
)
from handlib.files import require
from handlib.tables import facts as known
from handlib.training.predictions import Predictions, fingerprint

SPLITS = ("test", "val", "train", "train+val")  # the first that is packed is measured
TRAINED_BY = {"interhand": "05_train_interacting", "oakink": "03_train_hands"}
SP = {"default": "SP0", "subject": "SP1", "object": "SP2"}  # OakInk's published splits, by the way of splitting
IKNET = "iknet"  # folder of a run that trained one


def checkpoint(data, dataset, given=""):
    """``given``, or the last weights of the notebook that trains on this data set. InputError where there are none."""
    name = TRAINED_BY[dataset]
    path = given or runs.data_outputs(data) / name / "checkpoints" / "last"
    return require(
        path, f"run notebook {name[:2]} on this data root first (handlib run {name[:2]}), or give a checkpoint"
    )


def iknet(data, given=""):
    """The IKNet in ``given``, or the one that notebook 03 trained on this data root; None where there is none."""
    path = Path(given or runs.data_outputs(data) / TRAINED_BY["oakink"] / IKNET)
    return networks.load(path, "iknet") if given or path.exists() else None


def training_pack(pack):
    """The training split's pack beside a pack of the same data set; None where there is none, or it is this one."""
    own = pack.manifest["split"]
    beside = pack.folder.name.removesuffix(own)
    found = [pack.folder.with_name(beside + split) for split in ("train", "train+val") if split != own]
    there = [folder for folder in found if (folder / "manifest.json").exists()]
    return packs.open(there[0]) if there and own not in ("train", "train+val") else None


def same_body(pack, layer):
    """Whether a hand model is the one of which the pack's true meshes are."""
    return layer.is_free != (pack.manifest["fits_of"] == "MANO")


# ---------------------------------------------------------------------------------------------------------- meshes


def with_mesh(made, pack, layer, iknet=None, published=False, file=None):
    """Predictions with a mesh of every hand, where joints alone were predicted: the hand model fitted to them.

    layer: the hand model of the pack's truth (`handlib.bodies.load`); iknet: where the fit starts; published: the 20
    steps that OakInk's published mesh figures were made with, in the pack's order. file: as of `training.predict`.
    ``facts["mesh"]`` says in words where the mesh comes from; or why there is none, as where the true meshes are
    MANO's and its files are not here. Two-hand networks are left as they are.
    """
    if "joints_3d" not in made.predictions:
        return made
    if "verts_3d" in made.predictions:
        return _with(made, mesh="the network's own")
    if not same_body(pack, layer):
        return _with(made, mesh=f"none: the truth is of {pack.manifest['fits_of']}, the hand model here {layer.source}")
    words = f"{'published fit' if published else 'fit'} from {'closed form' if iknet is None else 'IKNet'}"
    facts = {"mesh": words, "layer": layer.source, "iknet": None if iknet is None else fingerprint(iknet)}
    if file is not None and Path(file).exists():
        kept = Predictions.load(file)
        if kept.facts == made.facts | facts and np.array_equal(kept.index, made.index):
            return kept
    found = _fitted(made.predictions["joints_3d"], layer, iknet, published)
    made = _with(made, {"verts_3d": found.verts.cpu().numpy()}, **facts)
    if file is not None:
        made.save(file)
    return made


def _with(made, more=(), **facts):
    return Predictions(made.predictions | dict(more), made.truth, made.index, made.facts | facts)


def _fitted(joints, layer, iknet, published):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    layer = copy.deepcopy(layer).to(device)
    return fitting.fit(torch.as_tensor(joints, device=device), layer, iknet=iknet, published=published)


def ways_to_a_mesh(joints, verts, layer, iknet):
    """Every way from joints (N, 21, 3) m to a mesh, against the true one (N, V, 3) -> DataFrame.

    Columns: start, fit, mpvpe_mm in the camera's frame, pa_mpvpe_mm, ms_per_hand (all hands at once, on this machine).
    """
    ways = [("IKNet", "none"), ("IKNet", "published, 20 steps"), ("IKNet", "to the end"), ("closed form", "to the end")]
    rows = []
    for start, fit in ways:
        since = time.perf_counter()
        if fit == "none":
            made = _unfitted(joints, layer, iknet)
        else:
            made = _fitted(joints, layer, iknet if start == "IKNet" else None, "published" in fit).verts
        ms = 1000 * (time.perf_counter() - since) / len(joints)
        rows.append({"start": start, "fit": fit} | mesh_errors(made.cpu().numpy(), verts) | {"ms_per_hand": ms})
    return pandas.DataFrame(rows)


def mesh_errors(predicted, verts):
    """MPVPE and PA-MPVPE of meshes (N, V, 3) m, as OakInk's benchmark computes them: {"mpvpe_mm", "pa_mpvpe_mm"}."""
    aligned, _ = alignment.similarity(np.asarray(predicted, float), np.asarray(verts, float))
    pairs = {"mpvpe_mm": predicted, "pa_mpvpe_mm": aligned}
    return {name: 1000 * float(np.linalg.norm(points - verts, axis=-1).mean()) for name, points in pairs.items()}


def _unfitted(joints, layer, iknet):
    """The mean shape in the pose that IKNet answers, laid on joint 9 in the size of its bone to the wrist."""
    joints = torch.as_tensor(joints, dtype=layer.weights.dtype)
    pose = fitting.iknet_poses(iknet, joints, layer)
    made = layer(pose=pose, shape=pose.new_zeros(len(pose), 10), mean_added=True)
    mine = bodies.joints21(made["verts"], made["joints"])
    scale = (joints[:, 9] - joints[:, 0]).norm(dim=-1) / (mine[:, 9] - mine[:, 0]).norm(dim=-1)
    return (made["verts"] - mine[:, 9:10]) * scale[:, None, None] + joints[:, 9:10]


# -------------------------------------------------------------------------------------------------------- measured


def measured(made, pack):
    """`Measured` predictions of a pack, by the pack's own benchmark."""
    return _MEASURED[pack.manifest["dataset"]](made, pack)


class Measured:
    """Errors of N frames. Subclasses give the methods that raise NotImplementedError here.

    protocol: its name; joint_names: J; main: the figure by which groups are compared, as `as_printed` names it.
    made, pack; index: the pack's rows of these frames; found: what the protocol's ``per_sample`` gives; figures: its
    Series; joints_mm (N, J): NaN where a joint does not count; frame_mm (N,): their mean.
    """

    protocol, joint_names, main = None, (), ""

    def __init__(self, made, pack):
        self.made, self.pack, self.index = made, pack, pack.index.iloc[made.index]
        self.found = protocols.per_sample(self.protocol, made.predictions, made.truth)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*no meshes were predicted")  # ``facts["mesh"]`` says so
            self.figures = made.evaluate(self.protocol)
        self.joints_mm = self._joints_mm()
        self.frame_mm = analysis.per_frame(self.joints_mm)

    @property
    def shown(self):
        """The figures that a table shows."""
        return tables.SUMMARY[self.protocol]

    def facts(self, data, root_depth, net):
        """How a row of results names split, data and where the depths come from, worded as published where it is the
        same; data: the data root's name.
        """
        raise NotImplementedError

    def method(self, net):
        """The row's method."""
        return f"{net.name} (this run)"

    def curves(self):
        """What PCK curves are drawn of: {words: (rows, distances (len(rows), K) mm)}."""
        raise NotImplementedError

    def on_hands(self, values):
        """Values of the joints (J,) -> {"right": (21,), …}, HAND21."""
        raise NotImplementedError

    def vertices_mm(self):
        """The mean error of each vertex (V,), None where no mesh was predicted."""
        return None

    def in_crops(self, items, rows):
        """Joints of some frames in the pixels of their crops: predicted, true, and which count; a list each."""
        raise NotImplementedError

    def in_camera(self, rows):
        """The predicted joints of some frames, {place in the pack: (H, 21, 3)} m, NaN for a hand that is not there."""
        raise NotImplementedError

    def frames(self):
        """A row per frame: what it shows, and its errors."""
        raise NotImplementedError

    def captions(self, rows, places=1):
        """Words for some frames: what they show, and their mean error."""
        table = self.frames().iloc[rows]
        what = [_what(row) for row in table.to_dict("records")]
        return [f"{words}, {mm:.{places}f} mm" for words, mm in zip(what, self.frame_mm[rows], strict=True)]

    def part_iou(self):
        """Mean intersection over union of the hand's parts, and over how many frames; NaN where nothing is known."""
        return float("nan"), 0

    def short(self):
        """The figures that a run's summary keeps -> DataFrame."""
        figures = as_printed(self.figures, self.protocol).dropna()
        return figures.rename("value").rename_axis("figure").reset_index()


def _what(row):
    return f"{row['object']}, {row['intent']}" if "intent" in row else row["hands"]


class InterHand(Measured):
    """InterHand2.6M: 42 joints of two hands, each relative to its wrist."""

    protocol, joint_names = "interhand", tuple(fields.interhand_names())
    main = "mpjpe_all_mm"

    def _joints_mm(self):
        return self.found["error_mm"]

    def facts(self, data, root_depth, net):
        manifest = self.pack.manifest
        official = manifest["version"] == "1.0, 5 fps"
        words = "InterHand2.6M v1.0 5 fps" if official else f"{data}: {manifest['version']}"
        words = words if len(self.made) == len(self.pack) else f"{len(self.made)} frames of {words}"
        depths = {"est": "RootNet", "gt": "ground truth"}[root_depth]
        return {"split": manifest["split"], "data": words, "root_depth": depths}

    def curves(self):
        """Wrists, which are at 0, are left out."""
        fingers = [place for place, name in enumerate(self.joint_names) if "wrist" not in name]
        kinds = {"single hands": ~self.found["interacting"], "interacting hands": self.found["interacting"]}
        kinds = {name: np.flatnonzero(rows) for name, rows in kinds.items() if np.isfinite(self.joints_mm[rows]).any()}
        return {name: (rows, self.joints_mm[np.ix_(rows, fingers)]) for name, rows in kinds.items()}

    def on_hands(self, values):
        right, left = fields.house_hands(np.asarray(values, float)[:, None])[..., 0]
        return {"right": right, "left": left}

    def in_crops(self, items, rows):
        predicted, _ = geometry.decode_25d(self.made.predictions["joint_coord"][rows])
        targets = [item["targets"] for item in items]
        true = [geometry.decode_25d(target["joint_coord"])[0] for target in targets]
        return predicted, true, [target["joint_valid"] for target in targets]

    def in_camera(self, rows):
        part = self.made.rows(rows)
        joints = fields.house_hands(protocols.interhand.camera_joints(part.predictions, part.truth)) / 1000
        there = np.asarray(self.pack.array("hand_type")[part.index])[..., None, None]
        return dict(zip(part.index, np.where(there, joints, np.nan), strict=True))

    def frames(self):
        return self.index[["key", "hands", "sequence"]].assign(mpjpe_mm=self.frame_mm, mrrpe_mm=self.found["mrrpe_mm"])

    def part_iou(self):
        masked = np.flatnonzero(self.pack.array("part_mask_valid")[self.made.index])
        if "segm_overlap" not in self.made.predictions or not len(masked):
            return super().part_iou()
        return metrics.iou_of_overlap(self.made.predictions["segm_overlap"][masked].sum(0), tol=1), len(masked)

    def short(self):
        summary = self.figures[["mpjpe_all", "mpjpe_sh", "mpjpe_ih", "mrrpe"]].add_suffix("_mm")
        extra = pandas.Series({"handness_acc": self.figures["handness_acc"], "part_iou": self.part_iou()[0]})
        return pandas.concat([summary, extra]).rename("value").rename_axis("figure").reset_index()


class OakInk(Measured):
    """OakInk-Image: 21 joints of one hand and its mesh in the camera's frame, at the true depth of the root."""

    protocol, joint_names = "oakink", fields.HAND21.joints
    main = "MPJPE_mm"

    def _joints_mm(self):
        return 1000 * self.found["joints_m"]

    def facts(self, data, root_depth, net):
        manifest = self.pack.manifest
        mode, split = manifest["options"]["mode"], manifest["split"]
        words = f"{SP.get(mode, mode)} {split}"
        where = "OakInk-Image annotations v2.1" if manifest["fits_of"] == "MANO" else f"{data}: {manifest['fits_of']}"
        return {
            "split": SP[mode] if split == "test" and mode in SP else words,
            "data": f"{where}, {words}, {len(self.made)} frames",
            "root_depth": f"ground truth (joint {net.input.root})",
            "note": f"mesh: {self.made.facts['mesh']}",
        }

    def method(self, net):
        words = self.made.facts["mesh"]
        how = " + IKNet" if words.endswith("IKNet") else " + fit" if "fit" in words.split() else ""
        return f"{net.name}{how} (this run)"

    def curves(self):
        rows = np.arange(len(self.made))
        return {
            "in the camera's frame": (rows, self.joints_mm),
            "aligned (PA)": (rows, 1000 * self.found["pa_joints_m"]),
        }

    def on_hands(self, values):
        return {"right": np.asarray(values, float)}

    def vertices_mm(self):
        return 1000 * self.found["verts_m"].mean(0) if "verts_m" in self.found else None

    def in_crops(self, items, rows):
        joints = self.made.predictions["joints_3d"][rows]
        predicted = [geometry.project(one, item["targets"]["K"]) for one, item in zip(joints, items, strict=True)]
        size = np.array(items[0]["image"].shape[:0:-1])
        true = [item["targets"]["joints_uvd"][:, :2] * size for item in items]
        return predicted, true, [item["targets"]["joints_valid"] for item in items]

    def in_camera(self, rows):
        return dict(zip(self.made.index[rows], self.made.predictions["joints_3d"][rows, None], strict=True))

    def frames(self):
        table = self.index[["key", "object", "intent", "subject", "camera", "sequence"]]
        table = table.assign(mpjpe_mm=self.frame_mm, pa_mpjpe_mm=1000 * self.found["pa_joints_m"].mean(1))
        return table.assign(mpvpe_mm=1000 * self.found["verts_m"].mean(1)) if "verts_m" in self.found else table


_MEASURED = {"interhand": InterHand, "oakink": OakInk}


def as_printed(figures, protocol):
    """Figures under the names and in the units in which the published table prints them: OakInk's evaluator calls its
    MPJPE ``MeanEPE.joints_3d_mepe``, in metres. A Series keeps these figures alone; of a table the columns change.
    """
    quoted = known.shipped().get(protocol, {}).get("quoted") or {}
    names = {official: (printed, factor) for printed, (official, factor) in quoted.items()}
    if isinstance(figures, pandas.Series):
        shown = {names[name][0]: names[name][1] * figures[name] for name in names if name in figures}
        return pandas.Series(shown) if names else figures
    table = figures.copy()
    for official, (printed, factor) in names.items():
        for ending in ("", "_low", "_high", "_difference"):
            column = tables.column(protocol, official) + ending
            if column in table:
                table[column] *= factor
                table = table.rename(columns={column: printed + ending})
    return table
