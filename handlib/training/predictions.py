"""What a network says about the samples of a pack, beside the truth, as the official evaluators take them."""

import contextlib
import dataclasses
import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import torch

from handlib import fields, geometry, metrics, protocols
from handlib.files import InputError, progress, require, write_atomic
from handlib.training import data, mano, people, person_hands


@dataclasses.dataclass(frozen=True)
class Predictions:
    """``predictions`` and ``truth``: {official name: (N, ...) array} for protocols.evaluate; ``index``: (N,) places in
    the pack; ``facts``: what they were made with (root_depth, ...), and ``options`` of the protocols that go with it.

    Where ``truth`` has ``known`` (N,), only these rows are measured.
    """

    predictions: dict
    truth: dict
    index: np.ndarray
    facts: dict = dataclasses.field(default_factory=dict)

    def __len__(self):
        return len(self.index)

    def evaluate(self, protocol, **options):
        """The figures of a protocol, a pandas.Series."""
        counted = self.counted()
        return protocols.evaluate(protocol, counted.predictions, counted.truth, **self.options(protocol) | options)

    def per_sample(self, protocol, **options):
        """The errors of each row that is measured, see `protocols.per_sample`."""
        counted = self.counted()
        return protocols.per_sample(protocol, counted.predictions, counted.truth, **self.options(protocol) | options)

    def options(self, protocol):
        """Those of ``facts["options"]`` that a protocol takes."""
        given = self.facts.get("options", {})
        return {name: given[name] for name in protocols.options(protocol) if name in given} if given else {}

    def counted(self):
        """The rows that are measured: those of which the truth is known, where it says so."""
        if "known" not in self.truth:
            return self
        rows = self if self.truth["known"].all() else self.rows(self.truth["known"])
        return dataclasses.replace(rows, truth={name: rows.truth[name] for name in rows.truth if name != "known"})

    def rows(self, chosen):
        """The given rows only (a slice, a mask or places)."""
        cut = [{name: array[chosen] for name, array in group.items()} for group in (self.predictions, self.truth)]
        return Predictions(*cut, self.index[chosen], self.facts)

    def with_known_truth(self):
        """The same without true arrays of which nothing is known (all NaN)."""
        if not self.truth.get("known", np.ones(1)).any():
            return dataclasses.replace(self, truth={})
        known = {
            name: array for name, array in self.truth.items() if array.dtype.kind != "f" or not np.isnan(array).all()
        }
        return dataclasses.replace(self, truth=known)

    def save(self, path):
        """Write one .npz file, whole or not at all."""
        groups = {"predictions": self.predictions, "truth": self.truth}
        arrays = {f"{group}/{name}": array for group, table in groups.items() for name, array in table.items()}
        with write_atomic(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, index=self.index, facts=np.array(json.dumps(self.facts)), **arrays)

    @classmethod
    def load(cls, path):
        """Read what ``save`` wrote. InputError when the file is missing or another kind of file."""
        require(path, "write it first with Predictions.save")
        try:
            with np.load(path, allow_pickle=False) as file:
                groups = {"predictions": {}, "truth": {}}
                for key in file.files:
                    group, _, name = key.partition("/")
                    if name:
                        groups[group][name] = file[key]
                return cls(**groups, index=file["index"], facts=json.loads(str(file["facts"])))
        except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
            raise InputError(path, f"holds no predictions ({error})", "make it again with Predictions.save") from error


class Collector:
    """Gathers batches of a network's outputs into Predictions; the kind of its ``input``, and for some inputs the data
    set of ``pack``, decide the arrays.
    """

    def __init__(self, net, pack=None):
        self.net, self.pack, self.parts = net, pack, []
        self.official = data.known(OFFICIAL, net.input, "arrays that a protocol takes")

    def add(self, out, batch):
        predictions, truth = self.official(self.net, out, batch, self.pack)
        tables = [{name: _host(value) for name, value in group.items()} for group in (predictions, truth)]
        self.parts.append(Predictions(*tables, _host(batch["index"])))

    def merged(self, **facts):
        """All of them in pack order, each sample once."""
        return self.union(self.parts, **made_for(self.net), **facts)

    @staticmethod
    def union(parts, **facts):
        """Parts joined; ``facts`` beside those of the first."""
        facts = parts[0].facts | facts
        index, first = np.unique(np.concatenate([part.index for part in parts]), return_index=True)
        groups = []
        for group in ("predictions", "truth"):
            tables = [getattr(part, group) for part in parts]
            groups.append({name: np.concatenate([table[name] for table in tables])[first] for name in tables[0]})
        return Predictions(*groups, index, facts)


def _host(value):
    """A numpy array; half precision, which numpy would keep, becomes float32."""
    value = value.detach().cpu()
    return (value.float() if value.dtype in (torch.float16, torch.bfloat16) else value).numpy()


def _hand_pair(net, out, batch, pack):
    """Arrays of the InterHand2.6M evaluator: millimetres, INTERHAND42 order; depths as (right, left).

    Of a network that segments also ``segm_overlap`` (N, 3, 33), see metrics.class_overlap: zeros without a part mask.
    """
    meta, targets = batch["meta"], batch["targets"]
    predictions = {
        "joint_coord": out["joint_coord"],
        "rel_root_depth": out["rel_root_depth"],
        "hand_type": out["hand_type_sigmoid"],
        "inv_trans": meta["inv_trans"],
    }
    camera, (right, left) = meta["K"], targets["hand_type"].bool().unbind(1)
    truth = {
        "cam_coord": fields.interhand42(meta["joints_cam"]) * 1000,
        "valid": fields.interhand42(meta["joints_valid"][..., None])[..., 0],
        "focal": torch.stack([camera[:, 0, 0], camera[:, 1, 1]], 1),
        "princpt": camera[:, :2, 2],
        "abs_depth": meta["root_depth"] * 1000,
        "hand_type": torch.where(right & left, 2, torch.where(right, 0, 1)),
        "hand_type_valid": targets["hand_type_valid"],
    }
    if "segm_logits" in out:
        predictions["segm_overlap"] = _overlaps(
            out["segm_logits"].argmax(1).cpu(), targets["segm"], targets["segm_valid"]
        )
    return predictions, truth


def _overlaps(predicted, target, valid):
    pairs = zip(predicted, target, valid > 0, strict=True)
    return torch.stack([torch.as_tensor(metrics.class_overlap(mine, true)).int() * seen for mine, true, seen in pairs])


def _one_hand(net, out, batch, pack):
    """Arrays of OakInk's evaluator: metres in the camera frame, the root at its true depth."""
    targets = batch["targets"]
    placed = net.place(out, targets["K"].to(out["joints_uvd"]), targets["root_depth"].to(out["joints_uvd"]))
    points = {"joints_3d": "joints_cam", "verts_3d": "verts_cam"}
    predictions = {name: placed[field] for name, field in points.items() if field in placed}
    return predictions, {name: targets[field] for name, field in points.items() if field in targets}


OFFICIAL = {  # by the `data.kind` of a network's ``input``
    geometry.HandPairInput: _hand_pair,
    geometry.HandInput: _one_hand,
    geometry.ManoInput: mano.official,
    (geometry.PersonInput, "body"): people.official,
    (geometry.PersonInput, "hand"): person_hands.official,
}
FACTS = {(geometry.PersonInput, "body"): people.facts}  # likewise: of a network -> of its predictions


def made_for(net):
    """What predictions of a network say of themselves, whatever they are of."""
    make = FACTS.get(data.kind(net.input))
    return {} if make is None else make(net)


def predict(
    net, pack, root_depth=None, *, samples=None, indices=None, batch=16, device=None, half=False, workers=0, file=None
):
    """Run ``net`` over a pack -> Predictions.

    Arguments:
        root_depth: whose wrist depths place the hands, and whose boxes cut the crops: "est", the estimator's (RootNet),
            as the published figures do, or "gt", the true ones; None: "est", but "gt" for networks that use neither.
            InputError when a sample has no estimate.
        samples: that many, evenly spaced; indices: these places of the pack; neither: all.
        half: automatic fp16 on a GPU, as the published figures were made; refused on a CPU.
        device: None is the GPU where there is one.
        file: keep the result in this .npz file; where it holds what these weights gave on this pack and settings,
            it is read instead of made again.
    """
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if half and device.type == "cpu":
        raise InputError("half", "16-bit prediction needs a GPU", "leave half=False on a CPU")
    root_depth = root_depth or ("gt" if isinstance(net.input, data.WITHOUT_DEPTH) else "est")
    chosen = data.subset(len(pack), samples) if indices is None else np.unique(indices)
    facts = made_for(net) | {"root_depth": root_depth, "half": half}
    if file is not None:
        facts |= {"pack": pack.manifest["hash"], "weights": fingerprint(net)}
        if Path(file).exists():
            kept = Predictions.load(file)
            if kept.facts == facts and np.array_equal(kept.index, chosen):
                return kept
    crops, places = data.Crops(pack, net.input, root_depth, meta=True), [(0, int(index)) for index in chosen]
    collector = Collector(net, pack)
    with evaluating(net, device), torch.autocast(device.type, torch.float16, enabled=half):
        loader = data.loader(crops, places, batch, data.workers(workers))
        for items in progress(loader, desc="predict", unit="batch", leave=False):
            collector.add(net(items["image"].to(device)), items)
    made = dataclasses.replace(collector.merged(), facts=facts).with_known_truth()
    if file is not None:
        made.save(file)
    return made


def choose_root_depth(pack, wanted=""):
    """``wanted``, or where it is empty: "est" when every sample of the pack has an estimate, else "gt"."""
    known = "root_depth_est" in pack.manifest["arrays"] and np.isfinite(pack.array("root_depth_est")).all()
    return wanted or ("est" if known else "gt")


def fingerprint(net):
    """SHA-256 of all weights and buffers by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@contextlib.contextmanager
def evaluating(net, device):
    """``net`` on ``device``, in eval mode and without gradients; its mode is put back afterwards."""
    was = net.training
    net.to(device).eval()
    try:
        with torch.inference_mode():
            yield net
    finally:
        net.train(was)
