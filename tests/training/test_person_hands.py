"""Pose2Pose's hand network trained on a small backbone, and what is measured and submitted of it."""

import dataclasses
import random

import free_hands
import numpy as np
import pytest
import torch
from torch import nn

from handlib import bodies, cli, crops, evaluation, networks, packs, submissions, training
from handlib.bodies import mirror
from handlib.files import InputError
from handlib.networks import pose2pose
from handlib.training import data, person_hands, targets


class Small(nn.Module):
    """A backbone of one layer: (B, 3, 256, 256) -> [(B, 2048, 8, 8)]."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2048, 1)

    def forward(self, images):
        return [torch.relu(self.conv(nn.functional.avg_pool2d(images, 32)))]


def network():
    torch.manual_seed(1)
    net = networks.create("pose2pose_hand")
    net.backbone = Small()
    return net


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """{name: pack} of free hands, and what was posed."""
    root, found = tmp_path_factory.mktemp("hands"), {}
    posed = free_hands.freihand(root / "freihand")
    free_hands.interhand(root / "interhand", 1)
    free_hands.mscoco(root / "mscoco")
    for name, dataset, split, options in (
        ("training", "freihand", "training", {"backgrounds": "gs"}),
        ("evaluation", "freihand", "evaluation", {}),
        ("interhand", "interhand", "train", {"part": "hand"}),
        ("mscoco", "mscoco", "train", {"part": "hand"}),
    ):
        found[name] = packs.write(dataset, root / dataset, split, root / "packs" / name, workers=0, **options)
    return found, posed


def test_it_learns_three_hands_by_heart(made, tmp_path):
    pack = made[0]["training"]
    settings = {"epochs": 2, "batch": 3, "per_device_batch": 3, "steps_per_epoch": 15, "lr": 3e-3, "augmentation": None}
    fitted = training.fit("pose2pose_hand", pack, tmp_path, pack, net=network(), workers=0, log_every=1, **settings)
    first, last = fitted.history.iloc[0], fitted.history.iloc[-1]
    assert last["total"] < 0.5 * first["total"] and last["mano_pose"] < 0.2 * first["mano_pose"]
    assert last["mano_joint_cam"] < 0.5 * first["mano_joint_cam"]
    terms = {"joint_img", "joint_proj", "joint_cam"}  # FreiHAND's own joints are not learned
    assert not fitted.history[list(terms)].to_numpy().any() and (fitted.history["mano_joint_img"] > 0).all()
    before = training.predict(network(), pack, device="cpu").evaluate("freihand")["xyz_mean3d"]
    assert fitted.validation["xyz_mean3d"].iloc[-1] < 0.5 * before


def test_samples_of_all_sets_go_into_one_batch(made):
    """Left hands, hands in 2D alone and hands without a fit together: one loss, and gradients that are finite."""
    net = network()
    items = []
    for name in ("training", "interhand", "mscoco"):
        chosen = data.Crops(made[0][name], net.input, "gt", {"scale": 0.2})
        items += [chosen[0, index] for index in range(len(chosen))]
    assert {"image", "targets", "index"} == set(items[0]) and len(items) == 9
    batch = torch.utils.data.default_collate(items)
    whole = targets.completed(net, batch["targets"])
    assert not [name for name in whole if name.startswith("fit_")] and whole["is_3D"].any()
    losses = net.loss(net(batch["image"]), whole)
    losses["total"].backward()
    assert all(value > 0 for value in losses.values())
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


class Oracle(nn.Module):
    """Answers with a pack's true hands, before a camera of its own."""

    name, input = "pose2pose_hand", pose2pose.Pose2PoseHand.input

    def __init__(self, hands, left=False):
        super().__init__()
        self.layer, self.hands, self.left = bodies.load("free", "mano_right"), hands, left

    def forward(self, images):
        parameters = (np.stack([one[name] for one in self.hands]) for name in ("pose", "shape"))
        pose, shape = (torch.tensor(values, dtype=torch.float32) for values in parameters)
        pose = mirror.mirrored_pose(pose) if self.left else pose
        return {"verts": self.layer(pose=pose, shape=shape, mean_added=False)["verts"] + torch.tensor([0.1, 0.2, 9])}


def test_true_answers_have_next_to_no_error(made):
    pack, hands = made[0]["evaluation"], made[1]["evaluation"]
    seen = evaluation.measured(training.predict(Oracle(hands), pack, device="cpu", batch=8), pack)
    assert seen.figures["mesh_al_mean3d"] < 1e-4  # cm
    assert seen.figures["xyz_al_mean3d"] < 0.3  # its finger tips are of other vertices than FreiHAND's
    assert seen.figures["mesh_mean3d"] < 0.2  # a wrist made of the mesh, put on the model's own
    items = [data.Crops(pack, Oracle.input, "gt", meta=True)[0, row] for row in range(3)]
    # Some pixels: the network's joints are regressed from the posed mesh, the data set's are the model's own.
    predicted, true, known = seen.in_crops(items, [0, 1, 2])
    pixels = np.linalg.norm(np.subtract(predicted, true), axis=-1)
    assert np.all(known) and pixels[:, [0, 1, 5, 9]].max() < 8 and 0 < np.min(true) < np.max(true) < 256
    frames = seen.frames()
    assert len(frames) == 3 and np.isfinite(frames["mpvpe_mm"]).all()


def test_left_hands_come_back_as_left_ones(made):
    """Wrist on the true wrist, mirrored back: InterHand2.6M's left hand from a mirrored answer."""
    pack = made[0]["interhand"]
    sample = pack[1]
    assert sample["hands"] == "left"
    camera = sample["pose_from_mean"][0].copy()
    item = data.Crops(pack, pose2pose.Pose2PoseHand.input, "gt", meta=True)[0, 1]
    camera[:3] = item["targets"]["fit_pose"][:3]  # in the camera's frame
    hand = {"pose": camera, "shape": sample["shape"][0]}
    out = training.predict(Oracle([hand], left=True), pack, indices=[1], device="cpu")
    error = out.predictions["joints_cam"][0] - sample["joints_cam"][0]
    assert np.linalg.norm(error[[1, 2, 3, 5, 6, 7]], axis=1).max() < 3e-3
    flat = training.predict(Oracle([hand]), pack, indices=[1], device="cpu").predictions["joints_cam"][0]
    assert np.linalg.norm(flat - sample["joints_cam"][0], axis=1).max() > 0.02  # a right hand's answer is another


def test_a_hidden_truth_leaves_the_hand_before_its_camera(tmp_path):
    hands = free_hands.freihand(tmp_path / "data", truth=False)["evaluation"]
    pack = packs.write("freihand", tmp_path / "data", "evaluation", tmp_path / "pack", workers=0)
    made = training.predict(Oracle(hands), pack, device="cpu", batch=8)
    assert made.truth == {} and not evaluation.truth_known(pack)
    np.testing.assert_allclose(made.predictions["verts"][:, :, 2].mean(), 9, atol=0.2)
    path, problems, words = evaluation.submission(made, pack, tmp_path / "out")
    joints, verts = submissions.hands.read(path)
    np.testing.assert_allclose(verts, made.predictions["verts"], atol=1e-6)
    np.testing.assert_allclose(joints, made.predictions["xyz"], atol=1e-6)
    assert "the truth is on the server" in words and not [one for one in problems if one.severity == "rejected"]


def test_the_command_line_evaluates_and_submits(made, tmp_path, capsys):
    networks.save(networks.create("pose2pose_hand"), tmp_path / "net")
    pack = made[0]["evaluation"]
    given = ["eval", str(tmp_path / "net"), str(pack.folder), "--submission", str(tmp_path / "out"), "--device", "cpu"]
    assert cli.main([*given, "--out", str(tmp_path / "eval")]) == 0
    printed = capsys.readouterr().out
    assert "xyz_al_mean3d" in printed and "3 entries" in printed
    assert np.shape(submissions.hands.read(tmp_path / "out" / "freihand.zip")[0]) == (3, 21, 3)


def test_fits_of_another_hand_are_refused(made, tmp_path):
    pack = made[0]["training"]
    manifest = dict(pack.manifest, fits_of="MANO")
    with pytest.raises(InputError, match="fits of MANO(?s:.)*bodies=FOLDER"):
        person_hands.require_same_body(network(), [packs.Pack(pack.folder, manifest)])
    person_hands.require_same_body(network(), [pack])


def test_hands_one_by_one_are_not_evaluated(made):
    for name in ("interhand", "mscoco"):
        with pytest.raises(InputError, match="no benchmark measures(?s:.)*freihand"):
            evaluation.protocol_names(made[0][name])
    with pytest.raises(InputError, match="joints_cam(?s:.)*for training"):
        training.predict(Oracle([made[1]["training"][0]]), made[0]["mscoco"], indices=[0], device="cpu")


def test_its_draws_are_handoccnets_and_no_flip_counts(made):
    sample = made[0]["training"][0]
    drawn = crops.draw_person_published(np.random.RandomState(5), random.Random(5))
    pair = [crops.person_hand(sample, dataclasses.replace(drawn, flip=flip)) for flip in (False, True)]
    np.testing.assert_array_equal(*(item["image"] for item in pair))
    assert data.CROPS[data.kind(pose2pose.Pose2PoseHand.input)][:2] == (crops.person_hand, crops.draw_mano)
    with pytest.raises(InputError, match="flip_chance"):
        data.Crops(made[0]["training"], pose2pose.Pose2PoseHand.input, "gt", {"flip_chance": 0.5})
