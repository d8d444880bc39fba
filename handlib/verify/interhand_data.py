"""DIGIT's data side: reader, splits, crops with recorded augmentation draws, box and camera functions.

The fixture's pictures and part masks are functions of the picture's id (see the folder's README); they are made in
memory.
"""

import hashlib
import random

import numpy as np

from handlib import crops, fields, geometry
from handlib.bodies import parts
from handlib.datasets import digit_files, interhand_splits
from handlib.datasets.interhand import InterHand
from handlib.files import InputError
from handlib.verify import Row, Skip
from handlib.verify.reference import deviation

TOLERANCE, DEPTH_MM = 1e-4, 2e-4


def fixture_picture(number, height, width):
    """uint8 (h, w, 3) RGB: triangle waves whose direction and phase depend on the id."""
    y, x = np.mgrid[:height, :width]
    planes = []
    for channel in range(3):
        step_x, step_y = 1 + (7 * number + 3 * channel) % 5, 1 + (5 * number + 2 * channel) % 7
        wave = (step_x * x + step_y * y + (31 * number + 97 * channel) % 510) % 510
        planes.append(np.where(wave < 256, wave, 510 - wave))
    return np.stack(planes, -1).astype(np.uint8)


def fixture_mask(number, height, width):
    """uint8 (h, w): classes 0..32 in squares of 24 pixels."""
    y, x = np.mgrid[:height, :width]
    return ((5 * (x // 24) + 11 * (y // 24) + number) % 33).astype(np.uint8)


def fixture_samples(ref, split, meta=None):
    """The fixture's samples in official order, with pictures and masks. ``meta``: preprocess.json's fixture_images."""
    reader = InterHand(ref.path("fixture"), split)
    errors = ref.json(f"fixture/cache/meta_dict_{split}.json")
    samples = []
    for sample in reader:
        fit, size = errors[sample["key"]], (sample["height"], sample["width"])
        stored = meta is None or meta[sample["key"]]["mask_in_store"]
        sample["image"] = fixture_picture(sample["image_id"], *size)
        sample["part_mask"] = fixture_mask(sample["image_id"], *size) if stored else np.zeros(size, np.uint8)
        sample["part_mask_valid"] = digit_files.mask_valid(sample["hands"], fit["right_fit_err"], fit["left_fit_err"])
        samples.append(sample)
    return samples


def check_pictures(ref):
    """The formula pictures are those of the reference."""
    for key, facts in ref.json("preprocess.json")["fixture_images"].items():
        image = fixture_picture(facts["id"], *facts["height_width"])
        found = [
            *image.sum((0, 1), dtype=np.int64),
            *image[100, 50],
            fixture_mask(facts["id"], *facts["height_width"]).sum(),
        ]
        expected = [*facts["sum_per_channel"], *facts["pixel_at_row_100_col_50"], facts["mask_sum"]]
        yield Row(f"fixture {key.split('/', 1)[1][-30:]}", "checksums", deviation(found, expected), 0)


def check_functions(ref):
    """Boxes, affine maps, augmentation draws, camera arithmetic, label exchange."""
    functions = ref.json("preprocess.json")["functions"]
    for number, case in enumerate(functions["process_bbox"]):
        found = geometry.square_box(case["bbox_xywh"])
        yield Row(f"process_bbox {number}", "box px", deviation(found, case["out_xywh"]), TOLERANCE)
    for number, case in enumerate(functions["gen_trans"]):
        for name in ("trans", "inv_trans"):
            found = geometry.crop_affine(
                (case["c_x"], case["c_y"]),
                (case["src_width"], case["src_height"]),
                (case["dst_width"], case["dst_height"]),
                case["scale"],
                np.pi * case["rot"] / 180,
                inverse=name == "inv_trans",
            )
            yield Row(f"gen_trans {number}", name, deviation(found, case[name]), TOLERANCE)
    for case in functions["augmentation_draws"]:
        found = _draw(case["seed"])
        yield Row(f"augmentation_draws seed {case['seed']}", "all draws", _draw_deviation(found, case), 1e-12)
    yield from _camera_rows({name: np.array(value) for name, value in functions["camera"].items()})
    case = functions["swap_left_right_labels"]
    found = parts.flip_classes(case["labels"])[[0, 2, 1]]  # the published one exchanges two of its equal channels, too
    yield Row("swap_left_right_labels", "classes", deviation(found, case["swapped"]), 0)


def _draw(seed):
    return crops.draw_published(np.random.RandomState(seed), random.Random(seed))


def _draw_deviation(found, case):
    expected = [*case["trans"], case["scale"], np.radians(case["rot_degrees"]), case["flip"], *case["color_scale"]]
    return deviation([*found.shift, found.scale, found.rotation, found.mirror, *found.colour], expected)


def _camera_rows(case):
    """The reference is in millimetres."""
    K, position = geometry.intrinsics(case["focal"], case["princpt"]), case["campos"] / 1000
    pixels, depth = case["pixel_xyz"][:, :2], case["pixel_xyz"][:, 2]
    cam = geometry.world_to_camera(case["world"] / 1000, case["camrot"], position)
    world = geometry.camera_to_world(case["cam"] / 1000, case["camrot"], position)
    back = geometry.back_project(pixels, depth / 1000, K)
    yield Row("camera", "world to camera mm", deviation(cam * 1000, case["cam"]), DEPTH_MM)
    yield Row("camera", "camera to world mm", deviation(world * 1000, case["cam2world"]), DEPTH_MM)
    yield Row("camera", "pixel to camera mm", deviation(back * 1000, case["pixel2cam"]), DEPTH_MM)
    yield Row("camera", "camera to pixel px", deviation(geometry.project(case["cam"] / 1000, K), pixels), TOLERANCE)


def check_splits(ref):
    """Which pictures the reduced splits keep, and in which order."""
    for case in ref.json("splits.json")["cases"]:
        name = f"split {case['split']} of {case['population']}"
        try:
            places = interhand_splits.positions(case["split"], case["population"])
        except InputError as refusal:
            yield Skip(name, f"refused on purpose: {refusal.problem}")
            continue
        same = hashlib.sha256(",".join(map(str, places)).encode()).hexdigest()
        wrong = same != case["sha256_of_comma_joined_positions"] or len(places) != case["count"]
        yield Row(name, "positions (0 same, 1 not)", float(wrong), 0)


def check_items(ref):
    """Every tensor that the published dataset yields, for every run."""
    description, arrays = ref.json("preprocess.json"), ref.npz("preprocess.npz")
    for name, run in description["runs"].items():
        expected = {key.split("/", 1)[1]: value for key, value in arrays.items() if key.startswith(f"{name}/")}
        samples = fixture_samples(ref, run["mode"], description["fixture_images"])
        places = [sample["key"] for sample in samples]
        listed = [item["im_path"].split("images/", 1)[1] for item in run["items"]]
        yield Row(f"run {name}", "order (0 same, 1 not)", float(places != listed), 0)
        root_depth = "est" if run["trans_test"] == "rootnet" and run["mode"] != "train" else "gt"
        found = []
        for sample, item in zip(samples, run["items"], strict=True):
            draw = item.get("augmentation")
            augmentation = _draw(draw["seed"]) if draw else None
            if draw:
                yield Row(f"run {name} item {item['idx']}", "draws", _draw_deviation(augmentation, draw), 1e-12)
            found.append(published_item(sample, augmentation, root_depth))
        yield from _item_rows(name, run, found, expected)


def _item_rows(name, run, found, expected):
    tolerances = {"segm": 0, "abs_depth_left": DEPTH_MM, "abs_depth_right": DEPTH_MM}
    for key, value in expected.items():
        stacked = np.stack([item[key] for item in found])
        yield Row(f"run {name}", key, deviation(stacked, value), tolerances.get(key, TOLERANCE))
    for item, facts in zip(found, run["items"], strict=True):
        case = f"run {name} item {facts['idx']}"
        full = item["full"]
        statistics = [full.mean(dtype=np.float64), full.std(dtype=np.float64), full.min(), full.max()]
        wanted = [facts["img"][key] for key in ("mean", "std", "min", "max")]
        yield Row(case, "whole crop: mean, std, min, max", deviation(statistics, wanted), 1e-6)
        counts = np.bincount(item["classes"].ravel(), minlength=33)
        yield Row(case, "class counts", deviation(counts, facts["segm_class_counts"]), 0)
        yield Row(case, "mask valid", abs(item["segm_valid"] - facts["mano_valid"]), 0)


def published_item(sample, augmentation, root_depth):
    """`crops.hand_pair` under the published names and units (mm); ``full`` and ``classes`` are whole crop and mask."""
    item = crops.hand_pair(sample, augmentation, root_depth)
    targets, meta = item["targets"], item["meta"]
    official = fields.interhand42
    return {
        **targets,
        "img": item["image"][:, 4::8, 4::8],
        "full": item["image"],
        "segm": targets["segm"][::2, ::2],
        "classes": targets["segm"],
        "inv_trans": meta["inv_trans"],
        "focal": sample["K"].diagonal()[:2],
        "princpt": sample["K"][:2, 2],
        "campos": sample["cam_pos"] * 1000,
        "camrot": sample["cam_rot"],
        "abs_depth_right": meta["root_depth"][0] * 1000,
        "abs_depth_left": meta["root_depth"][1] * 1000,
        "hw_size": meta["hw_size"],
        "flipped": meta["flipped"],
        "bbox": crops.input_box(sample, root_depth)[0],
        "bbox_after": meta["bbox"],
        "joint_cam": official(meta["joints_cam"]) * 1000,
        "joint_img": official(geometry.project(meta["joints_cam"], meta["K"])),
        "annot_valid": official(meta["joints_valid"][..., None])[:, 0],
    }


CHECKS = [check_pictures, check_functions, check_splits, check_items]
