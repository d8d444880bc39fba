"""What a network says about the samples of a pack, beside the truth, as the official evaluators take them."""

import contextlib
import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import torch

from handlib import fields, geometry, metrics, ranks
from handlib.atomic import there
from handlib.files import InputError, progress
from handlib.training import data, faults, large, mano, people, person_hands
from handlib.training.made import Predictions
from handlib.training.parts import Parts, Sorter


class Collector:
    """Gathers batches of a network's outputs into Predictions; the kind of its ``input``, and for some inputs the data
    set of ``pack``, decide the arrays. ``folder``: see `large.Rows`.
    """

    def __init__(self, net, pack=None, folder=None):
        self.net, self.pack, self.folder = net, pack, folder
        self.index, self.groups = [np.zeros(0, np.int64)], ({}, {})
        self.official = data.known(OFFICIAL, net.input, "arrays that a protocol takes")

    def add(self, out, batch, mine=None):
        """Take a batch in, wherever it is; ``mine`` (B,) bool: only these of its samples."""
        batch = _on_cpu({name: batch[name] for name in ("index", "meta", "targets") if name in batch})
        index = batch["index"].numpy()
        chosen = slice(None) if mine is None or mine.all() else mine
        self.index.append(index[chosen])
        for rows, group in zip(self.groups, self.official(self.net, out, batch, self.pack), strict=True):
            for name, value in group.items():
                rows.setdefault(name, large.Rows(self.folder)).add(_host(value)[chosen])

    def merged(self):
        """All of them in pack order, each sample once."""
        index = np.concatenate(self.index)
        places, first = np.unique(index, return_index=True)
        groups = [{name: rows.array() for name, rows in group.items()} for group in self.groups]
        made = Predictions(*groups, index, made_for(self.net))
        return made if np.array_equal(index, places) else made.rows(first)


def _on_cpu(value):
    """Tensors, in dictionaries, on the CPU: Lightning moves whole batches to where the network is."""
    if isinstance(value, dict):
        return {name: _on_cpu(one) for name, one in value.items()}
    return value.cpu() if isinstance(value, torch.Tensor) else value


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
            it is read instead of made again. Until it is whole its parts lie beside it, in ``<file>.parts``, and a
            stopped call goes on with them.
    """
    job = Job(net, pack, root_depth, samples, indices, batch, device, half, workers)
    if file is None:
        collector = Collector(net, pack)
        job.run([(0, int(place)) for place in job.places], collector.add)
        return dataclasses.replace(collector.merged(), facts=job.facts).with_known_truth()
    file, facts = Path(file), job.facts_kept()
    if there(file):
        kept = Predictions.load(file)
        if kept.facts == facts and np.array_equal(kept.index, job.places):
            return kept
    parts = job.parts(file.with_name(file.name + ".parts"))
    made = parts.joined(parts.known(ranks.ALONE))
    made.save(file)
    parts.remove()
    return made


class Job:
    """A network to be run over places of a pack; arguments as of `predict`."""

    def __init__(self, net, pack, root_depth=None, samples=None, indices=None, batch=16, device=None, half=False,
                 workers=0):  # fmt: skip
        self.net, self.pack, self.batch, self.half, self.workers = net, pack, batch, half, workers
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if half and self.device.type == "cpu":
            raise InputError("half", "16-bit prediction needs a GPU", "leave half=False on a CPU")
        self.root_depth = root_depth or ("gt" if isinstance(net.input, data.WITHOUT_DEPTH) else "est")
        self.places = data.subset(len(pack), samples) if indices is None else np.unique(indices)
        self.facts = made_for(net) | {"root_depth": self.root_depth, "half": half}
        self.crops = data.Crops(pack, net.input, self.root_depth, meta=True)

    def facts_kept(self):
        """The facts of predictions that are kept in files: they name the weights and the pack, too."""
        return self.facts | {"pack": self.pack.manifest["hash"], "weights": fingerprint(self.net)}

    def run(self, places, take, ranks=ranks.ALONE, reached=None):
        """Call ``take(out, items)`` for every batch of ``places`` ((round, index) pairs); reached: how many batches of
        all are behind it, for the progress bar of the first rank.
        """
        loader = data.loader(self.crops, places, self.batch, data.workers(self.workers))
        bar = progress(
            total=-(-len(self.places) // self.batch), desc="predict", unit="batch", leave=False, disable=not ranks.first
        )
        half = torch.autocast(self.device.type, torch.float16, enabled=self.half)
        with faults.named(self._mends()), bar, evaluating(self.net, self.device), half:
            for items in loader:
                take(self.net(items["image"].to(self.device)), items)
                bar.update(1 if reached is None else reached() - bar.n)

    def _mends(self):
        smaller = f"batch={max(1, self.batch // 2)} (now {self.batch})"
        fewer = f"workers={self.workers // 2} (now {self.workers})" if self.workers else smaller
        return faults.Mends(smaller, fewer, self.workers)

    def parts(self, folder, ranks=ranks.ALONE):
        """All parts of the predictions, in files in ``folder`` (see `training.parts`); every rank makes some."""
        made = Parts(folder, self.places, self.batch, self.facts_kept())
        sorter = Sorter(made, ranks, lambda: Collector(self.net, self.pack, made.folder))
        made.folder.mkdir(parents=True, exist_ok=True)
        self.run(sorter, sorter.add, ranks, lambda: sorter.reached)
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
