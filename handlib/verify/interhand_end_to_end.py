"""The whole chain: the fixture's files -> reader -> crops -> DIGIT with plain stand-in weights -> losses, figures."""

import numpy as np
import torch

from handlib import geometry, networks
from handlib.training import data, predictions
from handlib.verify import Row, Skip, standin
from handlib.verify.interhand_data import fixture_samples
from handlib.verify.reference import deviation

SPLIT = "test"
TOLERANCE = 1e-2  # heat-map cells, millimetres, losses and fractions alike
NAMES = {"total_loss": "total"}  # published name -> ours, where they differ


def check_chain(ref):
    if not ref.has("e2e.json"):
        yield Skip("e2e", "the folder holds no e2e.json")
        return
    stored, arrays = ref.json("e2e.json"), ref.npz("e2e.npz")
    samples = fixture_samples(ref, SPLIT, ref.json("preprocess.json")["fixture_images"])
    made, losses = _run(_network(ref), samples, stored["batch_size"])
    yield Row("e2e", "samples in the split (difference)", abs(len(samples) - len(arrays["idx"])), 0)
    rows = made.rows(arrays["idx"])
    for name in ("joint_coord", "rel_root_depth", "hand_type", "inv_trans"):
        yield Row("e2e", name, deviation(rows.predictions[name], arrays[name]), TOLERANCE)
    yield Row("e2e", "pred_joint_cam mm", deviation(_camera_joints(rows), arrays["pred_joint_cam"]), TOLERANCE)
    for name, expected in stored["losses"].items():
        found = np.mean([batch[NAMES.get(name, name)] for batch in losses])
        yield Row("e2e", name, deviation(found, expected), TOLERANCE)
    figures = made.evaluate("interhand")
    for name, expected in stored["metrics"].items():
        yield Row("e2e", name, deviation(figures[name], expected), TOLERANCE)


def _network(ref):
    net = networks.create("digit")
    state = standin.weights(ref.json("keys_digit.json"))
    networks.load_published(net, {name: torch.from_numpy(np.asarray(value)) for name, value in state.items()})
    return net


def _run(net, samples, batch):
    """All samples in order, with RootNet's boxes and depths -> (Predictions, [losses of a batch])."""
    crops, places = data.Crops(samples, net.input, "est", meta=True), [(0, place) for place in range(len(samples))]
    collector, losses = predictions.Collector(net), []
    with predictions.evaluating(net, torch.device("cpu")):
        for items in data.loader(crops, places, batch):
            out = net(items["image"])
            collector.add(out, items)
            losses.append({name: float(value) for name, value in net.loss(out, items["targets"]).items()})
    return collector.merged(), losses


def _camera_joints(made):
    """(N, 42, 3) mm in the camera's frame, as the published evaluator leaves them after MRRPE: where both wrists of an
    interacting pair are valid, the left hand stands at the right one's depth plus the predicted relative depth."""
    truth, coord = made.truth, made.predictions["joint_coord"].astype(np.float64)
    depth, relative = truth["abs_depth"] / 1000, geometry.decode_depth(made.predictions["rel_root_depth"][:, 0])
    paired = (truth["hand_type"] == 2) & truth["valid"][:, [20, 41]].all(1)
    depth[:, 1] = np.where(paired, depth[:, 0] + relative, depth[:, 1])
    K = np.stack([geometry.intrinsics(*pair) for pair in zip(truth["focal"], truth["princpt"], strict=True)])
    return 1000 * geometry.lift_25d(coord, made.predictions["inv_trans"], depth, K)


CHECKS = [check_chain]
