"""Targets of body-only Pose2Pose: SMPL fits of the stand-in model, read from files, mirrored and turned; a loss."""

import numpy as np
import people_tree
import pytest
import torch

from handlib import body_joints, crops, datasets, geometry, networks, packs, pictures
from handlib.crops import smpl_targets
from handlib.files import InputError
from handlib.training import data, people, targets
from handlib.verify import wholebody_cases

SPEC = geometry.PersonInput(size=(192, 256))
TURNED = crops.PersonAugmentation(0.9, 0.4, (1.0, 1.0, 1.0), True)
NAMES = body_joints.SMPL33.joints
FILES = {
    "mscoco": "annotations/MSCOCO_train_SMPL_NeuralAnnot.json",
    "mpii": "data/annotations/MPII_train_SMPL_NeuralAnnot.json",
    "human36m": "annotations/Human36M_subject{}_SMPL_NeuralAnnot.json",
}


def fit(draw):
    return {"pose": people_tree.numbers(draw, 72), "shape": people_tree.numbers(draw, 10), "trans": [0.1, -0.2, 5.0]}


@pytest.fixture(scope="module")
def net():
    with torch.device("meta"):  # of the network only the joints and the layer are asked
        made = networks._network_class("pose2pose_body")(torch.nn.Identity())
    made.layer = wholebody_cases.body("smpl")
    return made


@pytest.fixture
def make(tmp_path):
    """name -> root of a data set with SMPL fits of its first person (MSCOCO, MPII) or frames (Human3.6M)."""

    def made(name):
        root, draw = people_tree.SETS[name][0](tmp_path / name), np.random.default_rng(3)
        if name == "human36m":
            for path in sorted(root.glob("annotations/*_SMPLX_NeuralAnnot.json")):
                people_tree.change(path, lambda value: _swapped(value, draw))
                path.rename(path.with_name(path.name.replace("SMPLX", "SMPL")))
        else:
            number = {"mscoco": "10", "mpii": "0"}[name]
            people_tree.write(root / FILES[name], {number: {"smpl_param": fit(draw), "cam_param": people_tree.CAMERA}})
        return root

    return made


def _swapped(nested, draw):
    return {a: {b: {c: fit(draw) for c in inside} for b, inside in parts.items()} for a, parts in nested.items()}


def read(name, root):
    reader = datasets.read(name, root, people_tree.SETS[name][1], fits="smpl")
    assert reader.facts["fits_of"] == "SMPL"
    found = [reader.complete(sample) for sample in reader]
    return [one | {"image": pictures.decode(one["image"])} for one in found]


def completed(samples, net, drawn=None):
    batch = crops.persons(samples, [drawn] * len(samples), SPEC)["targets"]
    made = smpl_targets.targets_from_fits(batch, net.layer, net.joints33, SPEC)
    return {name: value.numpy() for name, value in made.items()}


def posed(sample, net):
    """Joints (33, 3) of a sample's fit in the camera's frame, by the published rule."""
    pose, shape = torch.from_numpy(sample["smpl_pose"]).reshape(1, 72), torch.from_numpy(sample["smpl_shape"])[None]
    joints = (
        net.joints33(net.layer(root_pose=pose[:, :3], body_pose=pose[:, 3:], shape=shape)["verts"])[0].double().numpy()
    )
    return joints + sample["smpl_transl"]


def swapped(names):
    """Places of the joints of the mirrored person."""
    other = {"L": "R", "R": "L"}
    return [names.index(other.get(one[0], one[0]) + one[1:] if one[1] == "_" else one) for one in names]


@pytest.mark.parametrize("name", ["mscoco", "mpii"])
def test_the_fits_joints_lie_where_the_turned_mirrored_crop_shows_them(make, net, name):
    one, other = read(name, make(name))
    made = completed([one, other], net, TURNED)
    joints = posed(one, net)
    relative = (joints - joints[0])[swapped(NAMES)] * [-1, 1, 1]
    np.testing.assert_allclose(made["smpl_joint_cam"][0], relative @ geometry.turn(-0.4).T, atol=1e-5)
    pixels = geometry.project(joints, one["K"])[swapped(NAMES)]
    pixels[:, 0] = one["width"] - 1 - pixels[:, 0]
    affine = crops.person(one, TURNED, input=SPEC)["meta"]["affine"]
    cells = geometry.apply_affine(pixels, affine) / (192, 256) * (6, 8)
    np.testing.assert_allclose(made["smpl_joint_img"][0, :, :2], cells, atol=1e-3)
    np.testing.assert_allclose(made["smpl_joint_img"][0, :, 2], (relative[:, 2] + 1) / 2 * 8, atol=1e-4)
    for key in ("smpl_joint_valid", "smpl_pose_valid", "smpl_shape_valid"):
        assert made[key][0].all() and not made[key][1].any()  # the other has no fit, where the published code stops
    assert not any(made[key][1].any() for key in made if key.startswith("smpl_"))


def test_a_turned_pose_is_that_of_the_turned_joints(make, net):
    one = read("mscoco", make("mscoco"))[0]
    made = completed([one], net, crops.PersonAugmentation(1.1, -0.5))
    pose, shape = torch.from_numpy(made["smpl_pose"]), torch.from_numpy(made["smpl_shape"])
    joints = net.joints33(net.layer(root_pose=pose[:, :3], body_pose=pose[:, 3:], shape=shape)["verts"])
    np.testing.assert_allclose((joints - joints[:, :1]).numpy(), made["smpl_joint_cam"], atol=1e-5)


def test_a_fit_in_the_world_turns_about_its_pelvis(make, net):
    samples = read("human36m", make("human36m"))
    one, other = samples
    assert one["smpl_valid"] and not other["smpl_valid"] and one["is_3d"]
    turn = np.array(people_tree.TURN)
    np.testing.assert_allclose(one["smpl_world"], turn)
    made, joints = completed(samples, net), posed(one | {"smpl_transl": 0}, net)
    root, transl = joints[0], np.array([0.1, -0.2, 5.0])
    there = joints - root + turn @ (root + transl) + np.array(people_tree.SHIFT) / 1000
    pixels = geometry.project(there, one["K"])
    affine = crops.person(one, input=SPEC)["meta"]["affine"]
    cells = geometry.apply_affine(pixels, affine) / (192, 256) * (6, 8)
    np.testing.assert_allclose(made["smpl_joint_img"][0, :, :2], cells, atol=2e-3)
    own = one["person_joints_cam"]  # the data set's joints, of names that both sets have
    for name in ("L_Knee", "R_Wrist"):
        row = body_joints.SMPLX137.joints.index(name)
        np.testing.assert_allclose(made["joint_cam"][0, NAMES.index(name)], own[row] - own[0], atol=1e-6)
        depth = (own[row, 2] - own[0, 2] + 1) / 2 * 8
        np.testing.assert_allclose(made["joint_img"][0, NAMES.index(name), 2], depth, atol=1e-5)


def test_the_data_sets_joints_with_the_knuckles_of_coco(make, net):
    one = read("mscoco", make("mscoco"))[0]
    made = completed([one], net)
    row = body_joints.SMPLX137.joints.index("L_Index_1")
    affine = crops.person(one, input=SPEC)["meta"]["affine"]
    cells = geometry.apply_affine(one["person_joints_img"][row][None], affine)[0] / (192, 256) * (6, 8)
    place = NAMES.index("L_Index_1")
    np.testing.assert_allclose(made["joint_img"][0, place], [*cells, 4], atol=1e-5)  # 2D: the middle of the depth
    assert made["joint_valid"][0, place] and not made["joint_valid"][0, NAMES.index("R_Index_1")]
    three = one | {"is_3d": np.bool_(True), "person_joints_cam": np.random.default_rng(0).normal(size=(137, 3)) / 9}
    camera = three["person_joints_cam"]
    made = completed([three], net)
    np.testing.assert_allclose(made["joint_cam"][0, place], camera[row] - camera[0], atol=1e-6)  # from the pelvis


def test_the_loss_of_the_truth_is_zero(make, net):
    made = {
        name: torch.from_numpy(value) for name, value in completed(read("mscoco", make("mscoco")), net, TURNED).items()
    }
    pose, true = made["smpl_pose"], made["smpl_joint_img"]
    out = {"joints_img": true[:, net.picked], "root_pose": pose[:, :3], "body_pose": pose[:, 3:], "verts": true}
    out |= {"shape": made["smpl_shape"], "joints": made["smpl_joint_cam"], "joints_proj": made["joint_img"][..., :2]}
    terms = net.loss(out, made)
    assert all(
        terms[name] == 0 for name in ("smpl_joint_img", "smpl_pose", "smpl_shape", "joint_proj", "smpl_joint_cam")
    )
    assert terms["joint_cam"] == 0 and terms["joint_img"] > 0  # 2D alone; the annotated joints are others
    assert set(terms) == {f"{kind}joint_{what}" for kind in ("", "smpl_") for what in ("img", "cam")} | {
        "joint_proj", "smpl_pose", "smpl_shape", "total"
    }  # fmt: skip


def test_training_takes_packs_with_smpl_fits(make, net, tmp_path):
    root = make("mscoco")
    place = packs.place(tmp_path, "mscoco", "train", fits="smpl")
    pack = packs.write("mscoco", root, "train", place, workers=0, fits="smpl")
    assert place.name == "mscoco_smpl_train" and pack.manifest["fits_of"] == "SMPL"
    people.require_same_body(net, [pack])
    batch = torch.utils.data.default_collate([data.Crops(pack, SPEC, "gt", {"scale": 0.1})[0, n] for n in range(2)])
    made = targets.completed(net, batch["targets"])
    assert made["smpl_joint_cam"].shape == made["joint_img"].shape == (2, 33, 3)
    other = packs.write("mscoco", root, "train", tmp_path / "smplx", workers=0)
    with pytest.raises(InputError, match="no fits of SMPL(?s:.)*fits='smpl'"):
        people.require_same_body(net, [other])


def test_odd_files_of_fits_are_named(make):
    root = make("mscoco")
    people_tree.change(root / FILES["mscoco"], lambda value: value["10"]["smpl_param"].update(pose=[0.0] * 71))
    with pytest.raises(InputError, match="10.smpl_param.pose"):
        datasets.read("mscoco", root, "train", fits="smpl")
    (root / FILES["mscoco"]).unlink()
    with pytest.raises(InputError, match="SMPL_NeuralAnnot"):
        datasets.read("mscoco", root, "train", fits="smpl")
    with pytest.raises(InputError, match="'smplx' or 'smpl'"):
        datasets.read("mpii", make("mpii"), "train", fits="mano")
