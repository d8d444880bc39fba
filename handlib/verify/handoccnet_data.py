"""HandOccNet's data side: derived annotations read, boxes, maps, draws, and every crop and target of both readers.

The reference's annotation files are laid out as a folder with pictures and read by the toolkit's own readers.
"""

import random
import tempfile
from pathlib import Path

import numpy as np

from handlib import crops, geometry
from handlib.crops import mano
from handlib.verify import Row, handoccnet_tree
from handlib.verify.reference import deviation

BOX, MAP, TARGET, CROP, EXACT = 1e-4, 1e-4, 2e-6, 1e-6, 0.0  # px, px, -, of 0..1, the same
TARGETS = {"joints_img": "joints_img", "joints_coord_cam": "joints_cam", "mano_pose": "pose_from_mean",
           "mano_shape": "shape"}  # fmt: skip
_STEP = 8  # every eighth row and column of a crop is stored
_SIZE = (256, 256)


def check_tables(ref):
    """Boxes brought into the picture, enlarged boxes, maps, augmentation draws."""
    arrays = ref.npz("preprocess.npz")
    table = {name.removeprefix("table/"): array for name, array in arrays.items() if name.startswith("table/")}
    given = zip(table["process_bbox_in"], table["process_bbox_expansion"], strict=True)
    found = [geometry.inside_square(box, *handoccnet_tree.SIZE, factor) for box, factor in given]
    valid = np.array([square is not None for square in found])
    yield Row("boxes inside", "accepted (how many differ)", float((valid != table["process_bbox_valid"]).sum()), EXACT)
    both = valid & table["process_bbox_valid"]
    squares = np.array([square for square, there in zip(found, both, strict=True) if there])
    yield Row("boxes inside", "box px", deviation(squares, table["process_bbox_out"][both]), BOX)
    for name, boxes in table.items():
        if name.startswith("get_bbox_out_"):
            factor = float(name.removeprefix("get_bbox_out_"))
            mine = [geometry.enlarged_box(geometry.tight_box(pixels), factor) for pixels in table["get_bbox_in"]]
            yield Row("boxes of joints", f"box times {factor} px", deviation(mine, boxes), BOX)
    for name, back in (("affine_out", False), ("affine_inv_out", True)):
        rows = table["affine_in_cx_cy_w_h_scale_rot"]
        mine = [geometry.crop_affine(r[:2], r[2:4], _SIZE, r[4], np.pi * r[5] / 180, back) for r in rows]
        yield Row("maps", name, deviation(mine, table[name]), MAP)
    for draw in ref.json("preprocess.json")["augmentation_draws"]:
        yield from _draw_rows(f"draws, seed {draw['seed']}", draw, draw["color_scale"])


def _drawn(seed):
    return crops.draw_mano_published(np.random.RandomState(seed), random.Random(seed))


def _draw_rows(case, facts, colour):
    drawn = _drawn(facts["seed"])
    mine = [drawn.scale, np.rad2deg(drawn.rotation), *drawn.colour]
    yield Row(case, "scale, degrees, colour", deviation(mine, [facts["scale"], facts["rot_degrees"], *colour]), TARGET)


def check_samples(ref):
    """Every row of every case: from whole pictures, and from what a pack keeps of them."""
    description, arrays = ref.json("preprocess.json"), ref.npz("preprocess.npz")
    with tempfile.TemporaryDirectory() as folder:
        root = handoccnet_tree.build(Path(folder), ref)
        for case, facts in description["samples"].items():
            whole, kept = (handoccnet_tree.samples(root, case, pixels) for pixels in ("whole", "reach"))
            yield Row(case, "samples listed (difference)", _listed(root, case) - facts["number_annotated"], EXACT)
            yield Row(case, "samples kept (difference)", abs(len(whole) - facts["number_kept"]), EXACT)
            for row in facts["rows"]:
                number = int(row["key"].split("/")[2])
                yield from _sample_rows(row, whole[number], kept[number], _of(arrays, row["key"]))


def _listed(root, case):
    return len(handoccnet_tree.reader(root, case))


def _of(arrays, case):
    return {name.removeprefix(f"{case}/"): array for name, array in arrays.items() if name.startswith(f"{case}/")}


def _sample_rows(row, whole, kept, expected):
    case, drawn = row["key"], _drawn(row["seed"]) if "seed" in row else None
    path = row["img_path_from_data_dir"].split("/data/", 1)[1]
    yield Row(case, "picture (0 same, 1 not)", float(not whole["image_path"].endswith(path.split("/", 1)[1])), EXACT)
    if "hand_type" in row:
        yield Row(case, "side (0 same, 1 not)", float(whole["hands"] != row["hand_type"]), EXACT)
    if drawn is not None:
        yield from _draw_rows(case, row, row["color_scale_rgb"])
    item = crops.mano_hand(whole, drawn)
    meta = item["meta"]
    yield Row(case, "box px", deviation(meta["bbox"], expected["bbox"]), BOX)
    for name, theirs in (("affine", "trans"), ("inverse", "inv_trans")):
        yield Row(case, f"{theirs} px", deviation(meta[name], expected[theirs]), MAP)
    yield Row(case, "root m", deviation(meta["joints_cam"][0], expected["root_joint_cam"]), TARGET)
    for theirs, name in TARGETS.items():
        if theirs in expected:
            yield Row(case, theirs, deviation(item["targets"][name], expected[theirs]), TARGET)
    yield from _picture_rows(case, item["image"], expected["img"], row["img_stats"])
    yield from _other_ways(case, item["image"], whole, kept, drawn, expected)


def _picture_rows(case, image, stored, facts):
    yield Row(case, "crop", deviation(image[:, ::_STEP, ::_STEP], stored), CROP)
    exact = image.astype(np.float64)
    mine = exact.sum() / exact.size, exact.mean(), exact.std(), exact.min(), exact.max()
    theirs = facts["sum"] / np.prod(facts["shape"]), *(facts[name] for name in ("mean", "std", "min", "max"))
    yield Row(case, "crop's statistics", deviation(mine, theirs), CROP)


def _other_ways(case, image, whole, kept, drawn, expected):
    """The same crop from the stored map, from a packed window, and in a batch, in whole numbers."""
    picture = whole["image"][:, ::-1] if whole["side"][0] == 1 else whole["image"]
    colour = (1.0, 1.0, 1.0) if drawn is None else drawn.colour
    stored = mano.warped(picture, mano.back(expected["trans"]), _SIZE, colour)
    yield Row(case, "crop by the stored map", deviation(stored[:, ::_STEP, ::_STEP], expected["img"]), CROP)
    yield Row(case, "crop of a window", deviation(crops.mano_hand(kept, drawn)["image"], image), EXACT)
    batch = crops.mano_hands([whole, kept], [drawn, drawn])["image"].numpy()
    yield Row(case, "crop in a batch", deviation(batch, np.stack([image, image])), EXACT)


CHECKS = [check_tables, check_samples]
