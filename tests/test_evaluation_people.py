"""Whole bodies measured in the common words, each benchmark against its own truth; AGORA's submission."""

import pickle

import numpy as np
import people_packs
import people_tree
import pytest
import torch

from handlib import bodies, body_joints, evaluation, geometry, networks, protocols, submissions, tables, training
from handlib.bodies import free_body
from handlib.evaluation import people
from handlib.files import InputError

OFF = (0.003, 0.004, 0.0)  # metres


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("people")


def official_mesh(sample):
    """A mesh of the free body in front of the camera, another one for each sample."""
    pose = 0.2 * torch.from_numpy(np.random.default_rng(sample).standard_normal((1, 63))).float()
    made = people_packs.layer()(body_pose=pose, transl=torch.tensor([[0.1, 0.2, 5.0]]), mean_added=False)
    return made["verts"][0].numpy()


def ehf(folder):
    """EHF with whole meshes, in the scanner's frame."""
    from handlib.datasets.ehf import ROTATION, SHIFT

    if not (folder / "ehf").exists():
        people_tree.ehf(folder / "ehf")
        for n in range(2):
            verts = ((official_mesh(n) - SHIFT) @ ROTATION).astype("<f4")
            header = "ply\nformat binary_little_endian 1.0\nelement vertex 10475\n"
            header += "".join(f"property float {axis}\n" for axis in "xyz") + "end_header\n"
            (folder / f"ehf/data/{n + 1:02d}_align.ply").write_bytes(header.encode() + verts.tobytes())
    return people_packs.made(folder, "ehf")


def agora_validation(folder):
    """OSX's files, with whole meshes."""
    if not (folder / "agora").exists():
        people_tree.agora(folder / "agora")
        for n in (5, 6):
            people_tree.write(folder / f"agora/data/gt/verts_{n}.json", official_mesh(n).tolist())
    return people_packs.made(folder, "agora", "validation")


def pack_of(folder, name):
    if name == "ehf":
        return ehf(folder)
    if name == "agora":
        return agora_validation(folder)
    return people_packs.made(folder, name, **({"every": 1, "split": "test"} if name == "ubody" else {}))


def predicted(pack, off=(0, 0, 0)):
    return training.predict(people_packs.Oracle(pack, off), pack, batch=2, device="cpu")


@pytest.fixture(scope="module", params=["ehf", "agora", "ubody", "mscoco", "human36m"])
def pack(request, folder):
    return pack_of(folder, request.param)


def test_true_answers_have_no_error(pack):
    seen = evaluation.measured(predicted(pack), pack)
    assert seen.figures.max() < 1e-3 and seen.protocol == people.protocol_names(pack)[0]
    assert seen.joints_mm.shape[1] == 64 == len(seen.joint_names) and seen.joints_mm.max() < 1e-3


def test_errors_in_the_common_words(pack):
    """A shift of everything is no error; fingers that are shifted are one of their hand alone."""
    moved = evaluation.measured(predicted(pack, OFF), pack)
    assert moved.figures.max() < 1e-3 and moved.frame_mm.max() < 1e-3
    made = predicted(pack)
    ids = free_body.index_files()
    verts = made.predictions["verts"] = made.predictions["verts"].copy()
    fingers = np.flatnonzero(people_packs.layer().weights[:, 25:40].sum(1) > 0.999)
    verts[:, fingers] += OFF  # by 5 mm
    seen = evaluation.measured(made, pack)
    hand, face, whole = (seen.vertices_mm(part) for part in ("hand", "face", "all"))
    assert np.nanmax(hand[ids["right_hand"]]) < 1e-3 and np.allclose(hand[fingers], 5, atol=0.01) and len(fingers) > 300
    assert np.nanmax(face) < 1e-3 and np.isnan(face).sum() == 10475 - 5023 and np.isnan(hand).sum() == 10475 - 2 * 778
    assert np.allclose(whole[fingers], 5, atol=0.01) and seen.vertices_mm("parts")[ids["face"]].max() < 1e-3
    if seen.protocol != "ubody":  # where what is outside the picture does not count
        assert seen.figures["mpvpe_all"] == pytest.approx(whole.mean(), rel=1e-6)
        assert seen.figures["mpvpe_hand"] == pytest.approx(np.nanmean(hand), rel=1e-6)
    assert seen.on_hands(seen.joints_mm.mean(0))["right"].max() < 1e-3
    frames = seen.frames()
    assert {"key", "person", "mpvpe_all_mm", "pa_mpvpe_hand_mm"} <= set(frames) and len(frames) == len(seen.made)
    assert seen.captions([0])[0].endswith(f"{frames['key'].iloc[0][-20:]}, {seen.frame_mm[0]:.1f} mm")
    assert seen.main in set(seen.short()["figure"]) and np.nanmax(seen.vertex_errors([0], "all", aligned=True)) < 5.1
    row = tables.result(seen.figures, method="mine", **seen.facts("demo", "gt", None))
    table = tables.beside_published([row])
    known = {name for name in seen.shown if np.isfinite(seen.figures[name])}
    assert known <= {name.removesuffix("_mm") for name in table} and "pa_mpvpe_all" in known
    with pytest.raises(InputError, match="unknown value 'feet'"):
        seen.vertices_mm("feet")


def test_joints_and_meshes_lie_in_their_crops(pack):
    seen = evaluation.measured(predicted(pack), pack)
    rows = np.array([0])
    items = [training.Crops(pack, people_packs.Oracle.input, "gt", meta=True)[0, int(seen.made.index[0])]]
    mine, true, known = seen.in_crops(items, rows)
    assert np.allclose(mine[0], [192, 256], atol=1e-3), "the oracle projects all joints there"
    verts, K = seen.meshes_in_crops(items, rows)
    middle = K[0] @ [0, 0, 1]
    assert np.allclose(middle, [192, 256, 1]) and K[0, 0, 0] == K[0, 1, 1] == 10000 and verts.shape == (1, 10475, 3)
    assert known[0].any() and np.isfinite(true[0]).all()
    if seen.true_in_crops(items, rows) is None:
        assert pack.manifest["options"]["source"] == "osx"
        return
    verts, K = seen.true_in_crops(items, rows)
    joints = seen._rows64 @ verts[0]
    pixels = joints @ K[0].T
    annotated = pack[int(seen.made.index[0])]["person_joints_valid"].any()
    if not annotated:
        assert np.allclose(pixels[:, :2] / pixels[:, 2:], true[0], atol=1e-6)


def test_rows_are_named_as_published(folder):
    pack = ehf(folder)
    seen = evaluation.measured(predicted(pack), pack)
    assert seen.facts("demo", "gt", None)["data"] == "demo: ehf test, handlib free body, 2 persons"
    row = tables.result(seen.figures, method="mine", **seen.facts("demo", "gt", None))
    table = evaluation.as_printed(tables.beside_published([row]), "ehf").set_index("method")
    assert table.loc["Hand4Whole", "PA_MPVPE_all"] == 50.3 and not table.loc["mine", "same_data"]
    assert table.loc["mine", "PA_MPVPE_all_difference"] == pytest.approx(-50.3, abs=1e-3)
    whole = people.WholeBody(predicted(pack), pack)
    whole.pack = FakePack(pack, 100)
    assert whole._official() in set(tables.published("ehf")["data"])
    validation = agora_validation(folder)
    seen = evaluation.measured(predicted(validation), validation)
    assert seen._official() in set(tables.published("agora_val")["data"])
    assert seen.facts("demo", "gt", None)["split"] == "val" == tables.published("agora_val")["split"].iloc[0]


class FakePack:
    def __init__(self, pack, length):
        self.manifest, self.length = pack.manifest, length

    def __len__(self):
        return self.length


def test_what_is_measured_against_fits_does_not_stand_beside_ehfs_rows(folder):
    pack = people_packs.made(folder, "human36m")
    seen = evaluation.measured(predicted(pack), pack)
    row = tables.result(seen.figures, method="mine", **seen.facts("demo", "gt", None))
    assert seen.protocol == "ehf" and list(tables.beside_published([row])["method"]) == ["mine"]
    assert "no official protocol" in row["note"].iloc[0]


def test_two_truths_of_agora(folder):
    """OSX's files bring the vertices, Hand4Whole's the parameters, which the neutral model wears."""
    official, fitted = agora_validation(folder), people_packs.made(folder, "agora", "train")
    assert "own vertices" in evaluation.measured(predicted(official), official)._note()
    made = predicted(fitted)
    assert "neutral body model" in evaluation.measured(made, fitted)._note()
    assert np.allclose(made.truth["verts"][0], official_truth(fitted[0]), atol=1e-5)


def official_truth(sample):
    pose = torch.from_numpy(sample["smplx_pose"]).flatten()[None]
    parts = {"root_pose": slice(0, 3), "body_pose": slice(3, 66), "jaw_pose": slice(66, 69),
             "lhand_pose": slice(75, 120), "rhand_pose": slice(120, 165)}  # fmt: skip
    made = people_packs.layer()(
        **{name: pose[:, rows] for name, rows in parts.items()}, mean_added=False,
        shape=torch.from_numpy(sample["smplx_shape"])[None], expression=torch.from_numpy(sample["smplx_expr"])[None],
        transl=torch.from_numpy(sample["smplx_transl"])[None],
    )  # fmt: skip
    return made["verts"][0].numpy()


def test_persons_without_a_fit_are_not_measured(folder):
    pack = pack_of(folder, "mscoco")
    made = predicted(pack)
    assert list(made.truth["known"]) == [True, False] and np.isnan(made.truth["verts"][1]).all()
    assert len(evaluation.measured(made, pack).made) == 1 and len(made) == 2
    assert made.evaluate("ehf").attrs["samples"] == 1


# 3DPW


@pytest.fixture(scope="module")
def smpl_folder(tmp_path_factory):
    """Bodies in SMPL's format, another one of each gender, under the official names."""
    folder = tmp_path_factory.mktemp("bodies")
    (folder / "smpl").mkdir()
    for number, gender in enumerate(("neutral", "male", "female")):
        (folder / f"smpl/SMPL_{gender.upper()}.pkl").write_bytes(pickle.dumps(smpl_like(number), protocol=2))
    rows = np.random.default_rng(0).uniform(0, 1, (17, 6890)) ** 40
    np.save(folder / "smpl/J_regressor_h36m_smpl.npy", rows / rows.sum(1, keepdims=True))
    return folder


def smpl_like(seed):
    draw = np.random.default_rng(seed)
    weights = np.eye(24)[draw.integers(0, 24, 6890)]
    regressor = draw.uniform(0, 1, (24, 6890)) ** 40
    return {
        "v_template": draw.uniform(-0.5, 0.5, (6890, 3)), "f": draw.integers(0, 6890, (13776, 3)).astype(np.uint32),
        "weights": weights, "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "kintree_table": np.stack([np.r_[2**32 - 1, body_joints.SMPL24.parents[1:]], np.arange(24)]).astype(np.uint32),
        "shapedirs": 0.01 * draw.standard_normal((6890, 3, 10)), "posedirs": np.zeros((6890, 3, 207)),
        "bs_style": "lbs", "bs_type": "lrotmin",
    }  # fmt: skip


def test_3dpw_is_measured_with_the_smpl_of_the_gender(folder, smpl_folder):
    pack = people_packs.made(folder, "pw3d")
    net = networks.create("pose2pose_body", bodies=smpl_folder)
    made = training.predict(net, pack, device="cpu")
    assert made.predictions["joints_img"].shape == (2, 45, 2) and made.truth["verts"].shape == (2, 6890, 3)
    for row in range(2):
        sample = pack[row]
        layer = bodies.load(smpl_folder, f"smpl_{sample['gender']}")
        pose = torch.from_numpy(sample["smpl_pose"]).flatten()[None]
        own = layer(root_pose=pose[:, :3], body_pose=pose[:, 3:], shape=torch.from_numpy(sample["smpl_shape"])[None],
                    transl=torch.from_numpy(sample["smpl_transl"])[None])["verts"][0]  # fmt: skip
        assert np.allclose(made.truth["verts"][row], own, atol=1e-6)
    seen = evaluation.measured(made, pack)
    given = made.predictions["verts"], made.truth["verts"]
    direct = protocols.evaluate("pw3d", {"verts": given[0]}, {"verts": given[1]}, bodies=str(smpl_folder))
    assert seen.figures.equals(direct) and seen.joints_mm.shape == (2, 14)
    assert seen.vertices_mm().mean() == pytest.approx(seen.figures["mpvpe"], rel=1e-6)
    assert list(seen.short()["figure"]) == ["MPJPE", "PA_MPJPE"] and seen.facts("d", "gt", net)["split"] == "test"


def test_3dpw_needs_smpl(folder, smpl_folder, tmp_path):
    pack = people_packs.made(folder, "pw3d")
    with pytest.raises(InputError, match="pose2pose_body with SMPL"):
        evaluation.measured(training.predict(people_packs.Tiny(), pack, device="cpu"), pack)
    (tmp_path / "SMPL_NEUTRAL.pkl").write_bytes((smpl_folder / "smpl/SMPL_NEUTRAL.pkl").read_bytes())
    net = networks.create("pose2pose_body", bodies=tmp_path)
    with pytest.raises(InputError, match="SMPL_FEMALE"):
        training.predict(net, pack, device="cpu")


# Submissions


def test_agoras_hidden_persons_are_submitted(folder, tmp_path):
    pack = people_packs.made(folder, "agora", "test")
    made = training.predict(people_packs.Tiny(), pack, device="cpu")
    assert made.truth == {} and not evaluation.truth_known(pack)
    with pytest.raises(InputError, match="server keeps it"):
        evaluation.measured(made, pack)
    path, problems, words = evaluation.submission(made, pack, tmp_path)
    assert path.name == "predictions.zip" and not problems and "truth is on the server" in words
    found = submissions.read("agora_smplx", path)
    assert found.names == ["ag_t_personId_0.pkl", "ag_t_personId_1.pkl"]
    person = found["ag_t.png"][1]
    assert person["joints"].shape == (144, 2) and person["params"]["transl"].shape == (1, 3)
    assert np.array_equal(person["params"]["body_pose"][0], made.predictions["body_pose"][1])


def test_projections_are_pixels_of_the_picture(folder):
    """The middle of the crop is where the crop's own map says."""
    pack = people_packs.made(folder, "agora", "test")
    made = predicted_hidden(pack)
    affine, sample = np.array(people_tree.AFFINE), pack[0]
    middle = np.linalg.solve(affine[:, :2], np.array([sample["width"], sample["height"]]) / 2 - affine[:, 2])
    assert np.allclose(made.predictions["joints_img"][0], middle, atol=0.05)


class Annotated(people_packs.Oracle):
    """Projects joints to where they are annotated."""

    def forward(self, images):
        start = self.next
        out = super().forward(images)
        items = [training.Crops(self.pack, self.input, "gt")[0, row] for row in range(start, self.next)]
        out["joints144_proj"] = out["joints144_proj"].clone()
        places = torch.tensor(np.stack([item["targets"]["joint_img"][:, :2] for item in items]))
        out["joints144_proj"][:, body_joints.FROM_SMPLX144] = places
        return out


@pytest.mark.parametrize("name", ["agora", "mscoco"])
def test_annotated_pixels_come_back(folder, name):
    """Through the crop, its heat volume, and of AGORA the crop that lies beside the picture."""
    pack = pack_of(folder, name)
    made = training.predict(Annotated(pack), pack, batch=2, device="cpu")
    once = np.bincount(body_joints.FROM_SMPLX144, minlength=144)[body_joints.FROM_SMPLX144] == 1  # eyes are not
    for row in range(len(pack)):
        sample = pack[row]
        known = sample["person_joints_valid"] & once
        affine = geometry.invert_affine(sample.get("picture_affine", np.eye(3)[:2]))
        pixels = geometry.apply_affine(sample["person_joints_img"].astype(float), affine)
        mine = made.predictions["joints_img"][row][body_joints.FROM_SMPLX144]
        assert known.sum() > 50 and np.abs(mine - pixels)[known].max() < 0.01


def predicted_hidden(pack):
    return training.predict(people_packs.Oracle(pack), pack, batch=2, device="cpu")


def test_persons_of_a_picture_do_not_overwrite_one_another(folder, tmp_path):
    pack = agora_validation(folder)
    path, problems, words = evaluation.submission(predicted(pack), pack, tmp_path)
    assert submissions.read("agora_smplx", path).names == ["ag_1_personId_0.pkl", "ag_1_personId_1.pkl"]
    assert "2 persons in 1 pictures" in words
    with pytest.raises(InputError, match="on all of them"):
        evaluation.submission(predicted(pack).rows([0]), pack, tmp_path)


def test_smpl_is_submitted_too(folder, smpl_folder, tmp_path):
    pack = people_packs.made(folder, "agora", "test")
    made = training.predict(networks.create("pose2pose_body", bodies=smpl_folder), pack, device="cpu")
    path, problems, words = evaluation.submission(made, pack, tmp_path)
    assert not problems and "as SMPL" in words
    person = submissions.read("agora_smpl", path)["ag_t.png"][0]
    assert person["joints"].shape == (45, 2) and person["params"]["body_pose"].shape == (1, 23, 3)
