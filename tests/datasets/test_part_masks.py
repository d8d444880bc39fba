import json

import cv2
import interhand_tree
import numpy as np
import pytest

from handlib import datasets, geometry, packs
from handlib.bodies import parts
from handlib.datasets import part_masks
from handlib.files import InputError


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A split whose fits, said to be of the free hand, stand 1.2 m in front of each frame's first camera."""
    root = interhand_tree.build(tmp_path_factory.mktemp("masks") / "InterHand", splits=("val",))
    reader = datasets.read("interhand", root, "val")
    fits = {}
    for number, sample in enumerate(reader):
        frames = fits.setdefault(str(sample["capture"]), {})
        if str(sample["frame"]) in frames:
            continue
        centre = sample["cam_pos"] + sample["cam_rot"].T @ (np.linalg.inv(sample["K"]) @ [165, 165, 1]) * 1.2
        hands = [fit(number, centre + [0.04 * side, 0, 0]) for side in range(2)]
        wanted = sample["hand_type"] if number != 1 else ~sample["hand_type"]
        frames[str(sample["frame"])] = {
            name: hand if there else None for name, hand, there in zip(("right", "left"), hands, wanted, strict=True)
        }
    interhand_tree.annotations(root, "val", "MANO_NeuralAnnot").write_text(json.dumps(fits))
    marker = {"model": "handlib free hand", "version": "1"}
    (root / "annotations/body_model.json").write_text(json.dumps(marker))
    return root


def fit(seed, position):
    rng = np.random.default_rng(seed)
    pose = np.concatenate([rng.uniform(-1, 1, 3), rng.uniform(-0.2, 0.2, 45)])
    return {"pose": pose.tolist(), "shape": rng.uniform(-1, 1, 10).tolist(), "trans": position.tolist()}


def test_masks_of_the_free_hand(tree, tmp_path):
    reader = datasets.read("interhand", tree, "val")
    pack = packs.write("interhand", tree, "val", tmp_path / "out", workers=2)
    assert "free hand" in pack.manifest["part_masks"]
    seen = set()
    for number, sample in enumerate(reader):
        found = pack[number]
        exact = np.array_equal(sample["mano_valid"], sample["hand_type"])
        assert found["part_mask_valid"] == exact
        if not exact:
            assert not found["part_mask"].any() and pack.encoded(number, "part_mask") is None
            continue
        assert np.array_equal(found["part_mask"], part_masks.render(sample, "free"))
        classes = set(np.unique(found["part_mask"])) - {0}
        seen |= classes
        for side in range(2):
            if not sample["hand_type"][side]:
                assert not classes & set(range(1 + 16 * side, 17 + 16 * side))
    assert len(seen & set(range(1, 17))) > 12 and len(seen & set(range(17, 33))) > 12


def test_masks_lie_on_the_mesh(tree):
    """Every projected vertex falls on a hand."""
    checked = 0
    for sample in datasets.read("interhand", tree, "val"):
        grown = cv2.dilate(part_masks.render(sample, "free"), np.ones((3, 3)))  # the rim, by rounding
        for side in np.flatnonzero(sample["mano_valid"]):
            verts = part_masks.posed("free", sample, side)
            columns, rows = geometry.project(verts, sample["K"]).round().astype(int).T
            if min(rows.min(), columns.min(), verts[:, 2].min()) < 0:
                continue  # out of this camera's view
            if rows.max() >= sample["height"] or columns.max() >= sample["width"]:
                continue
            assert (grown[rows, columns] > 0).all()
            checked += 1
    assert checked >= 3


def test_the_palm_is_the_largest_part(tree):
    sample = next(s for s in datasets.read("interhand", tree, "val") if s["hands"] == "interacting")
    counts = np.bincount(part_masks.render(sample, "free").ravel(), minlength=parts.CLASSES)
    assert (
        counts[1:].argmax() + 1
        in parts.digit_classes([0], "right").tolist() + parts.digit_classes([0], "left").tolist()
    )


def test_real_fits_need_mano_files(tree, tmp_path):
    """The same fits without the marker count as MANO's: no masks, and a reason; a folder without the files is an
    error.
    """
    marker = tree / "annotations/body_model.json"
    aside = marker.rename(tmp_path / "aside.json")
    try:
        pack = packs.write("interhand", tree, "val", tmp_path / "out", workers=0)
        assert not pack.array("part_mask_valid").any() and "no MANO files" in pack.manifest["part_masks"]
        assert any("MANO_RIGHT.pkl" in note for note in pack.manifest["notes"])
        with pytest.raises(InputError, match="MANO_RIGHT.pkl"):
            datasets.read("interhand", tree, "val", bodies=tmp_path)
    finally:
        aside.rename(marker)


def test_masks_with_mano_files(tree, tmp_path):
    """Official files (here the free hand, written in their format): used, and part of what makes the pack.

    The workers are forked from a process in which torch, embree and OpenCV have been at work.
    """
    from handlib.bodies import free

    free.write_official(tmp_path / "bodies")
    marker = tree / "annotations/body_model.json"
    aside = marker.rename(tmp_path / "aside.json")
    try:
        options = {"bodies": tmp_path / "bodies", "workers": 2, "start_method": "fork", "shard_size": 1}
        pack = packs.write("interhand", tree, "val", tmp_path / "out", **options)
        assert set(pack.manifest["options"]["bodies"]) == {"mano_right", "mano_left"}
        valid = np.flatnonzero(pack.array("part_mask_valid"))
        assert len(valid) >= 3
        for place in valid:
            expected = part_masks.render(pack[place], "free")
            assert (pack[place]["part_mask"] != expected).mean() < 1e-3
    finally:
        aside.rename(marker)
