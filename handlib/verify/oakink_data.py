"""OakInk-Image's data side: annotations, splits, packed files, crops with recorded augmentation draws, geometry.

The stand-in annotations are written as a folder in the official layout and read back by the toolkit's own reader.
"""

import random
import re
import tempfile
from pathlib import Path

import cv2
import numpy as np

from handlib import crops, datasets, geometry, pictures
from handlib.datasets import oakink_files, oakink_objects, oakink_splits
from handlib.verify import Row, oakink_tree
from handlib.verify.reference import deviation

METRES, PIXELS, RELATIVE, ROTATION = 1e-6, 1e-3, 1e-5, 1e-5
ROOTS = {"integral": 9, "rle": 0, "i2l": 0}  # the centre joint of each configuration
_EVERY = 6  # of the vertices are in the reference


def check_annotations(ref):
    """What the toolkit reads of every sample, raw and through the published packer's files."""
    description, arrays = ref.json("preprocess.json"), ref.npz("preprocess.npz")
    with tempfile.TemporaryDirectory() as folder:
        root = oakink_tree.build(Path(folder), ref)
        reader = datasets.read("oakink", root, "all")
        samples = list(reader)
        yield Row("raw", "order (0 same, 1 not)", float(_keys(samples) != description["raw"]["info_str"]), 0)
        for number, sample in enumerate(samples):
            facts = description["oikit"][str(number)]
            expected = {name: arrays[f"oikit/{number}/{name}"] for name in _names(arrays, f"oikit/{number}/")}
            raw = {name: arrays[f"raw/{number}/{name}"] for name in _names(arrays, f"raw/{number}/")}
            yield from _sample_rows(f"sample {number}", sample, facts, expected, raw)
            yield from _object_rows(f"sample {number}", sample, root / "image", expected)
        yield from _packed_rows(root, description, samples)


def _names(arrays, prefix):
    return [name.removeprefix(prefix) for name in arrays if name.startswith(prefix)]


def _keys(samples):
    return [sample["key"] for sample in samples]


def _sample_rows(case, sample, facts, expected, raw):
    words = sample["object"], sample["intent"], sample["status"], sample["image_path"].split("/image/")[-1]
    wanted = facts["obj_id"], facts["intent"], _json(facts["sample_status"]), facts["image_path"].split("/image/")[-1]
    yield Row(case, "object, intent, status, path (0 same)", float(words != wanted), 0)
    joints, K = sample["joints_cam"][0], sample["K"]
    yield Row(case, "joints m", deviation(joints, raw["hand_j"]), 0)
    yield Row(case, "vertices m", deviation(sample["verts_cam"][0], raw["hand_v"]), 0)
    yield Row(case, "intrinsics px", deviation(K, raw["cam_intr"]), 0)
    yield Row(case, "object pose", deviation(sample["object_pose"], raw["obj_transf"].astype(np.float32)), 0)
    camera = np.concatenate([sample["cam_rot"], -sample["cam_rot"] @ sample["cam_pos"][:, None]], 1)
    yield Row(case, "camera", deviation(camera, raw["cam_extr"][:3]), METRES)
    pixels = geometry.project_homogeneous(joints.astype(np.float32), K.astype(np.float32))
    yield Row(case, "joints px", deviation(pixels, expected["joints_2d"]), PIXELS)
    yield Row(case, "shape", deviation(sample["shape"][0], expected["mano_shape"]), 0)
    found, wanted = _matrices(sample["pose_flat"][0]), _matrices(expected["mano_pose"])
    yield Row(case, "pose, as rotations", deviation(found, wanted), ROTATION)


def _json(value):
    return {True: "true", False: "false", None: "null"}.get(value, str(value))


def _matrices(pose):
    """Axis-angle (48 numbers) -> (16, 3, 3): the same rotation has several axis-angles."""
    return np.stack([cv2.Rodrigues(vector)[0] for vector in np.asarray(pose, np.float64).reshape(16, 3)])


def _object_rows(case, sample, image, expected):
    verts, _ = oakink_objects.read(image, sample["object"])
    pose, K = sample["object_pose"], sample["K"].astype(np.float32)
    corners = oakink_objects.posed(oakink_objects.corners(verts), pose)
    yield Row(
        case, "object's vertices m", deviation(oakink_objects.posed(verts, pose), expected["obj_verts_3d"]), METRES
    )
    yield Row(case, "object's corners m", deviation(corners, expected["corners_3d"]), METRES)
    yield Row(case, "object's corners px", deviation(_project(corners, K), expected["corners_2d"]), PIXELS)


def _project(points, K):
    return geometry.project_homogeneous(np.asarray(points, np.float64), K.astype(np.float64))


def _packed_rows(root, description, samples):
    """Reading the packer's files gives the same samples as reading the annotations."""
    by_key = {sample["key"]: sample for sample in samples}
    for kind in ("pack", "pack_mv"):
        folders = {tuple(name.split("/")[:3]) for name in description[kind]["files"]}
        for folder, mode, split in sorted(folders):
            reader = datasets.read(
                "oakink", root, split, mode=mode, source="packed", multiview=folder == "anno_packed_mv"
            )
            packed = list(reader)
            case = f"{folder} {mode} {split}"
            names = {f"{folder}/{mode}/{split}/{sample['key']}.pkl" for sample in packed}
            wanted = {name for name in description[kind]["files"] if name.startswith(f"{folder}/{mode}/{split}/")}
            yield Row(case, "files (0 same, 1 not)", float(names != wanted), 0)
            for name in ("joints_cam", "verts_cam", "K", "object_pose", "shape", "bbox"):
                worst = max(deviation(sample[name], by_key[sample["key"]][name]) for sample in packed)
                yield Row(case, name, worst, 0)
            poses = [(sample["pose_flat"], by_key[sample["key"]]["pose_flat"]) for sample in packed]
            worst = max(deviation(_matrices(found), _matrices(wanted)) for found, wanted in poses)
            yield Row(case, "pose, as rotations", worst, ROTATION)


def check_splits(ref):
    """The multi-view list made of a single-view one."""
    case = ref.json("preprocess.json")["extend_split"]
    wrong = oakink_splits.extend(case["input"]) != case["output"]
    yield Row("extend_split", "entries (0 same, 1 not)", float(wrong), 0)


def check_crops(ref):
    """Every tensor of every run: from whole pictures, and from what a pack keeps of them (the crops to the bit)."""
    description, arrays = ref.json("preprocess.json"), ref.npz("preprocess.npz")
    with tempfile.TemporaryDirectory() as folder:
        root = oakink_tree.build(Path(folder), ref)
        by_key = {}
        for pixels in ("whole", "reach"):
            reader = datasets.read("oakink", root, "all", pixels=pixels)
            for sample in map(reader.complete, reader):
                by_key[pixels, sample["key"]] = sample | {"image": pictures.decode(sample["image"])}
        for case in sorted(name for name, facts in description.items() if "crop_shape" in facts):
            run, _, number = case.rpartition("/")
            key = oakink_splits.Sample(*description[run]["info"][int(number)]).stem
            expected = {name: arrays[f"{case}/{name}"] for name in _names(arrays, f"{case}/")}
            for pixels in ("whole", "reach"):
                found = published_item(by_key[pixels, key], run, description[case])
                yield from _crop_rows(f"{case} {pixels}", found, expected, description[case])


def published_item(sample, run, facts):
    """`crops.single_hand` under the published names; ``run``: "<split>/<model>"; facts: the case's JSON entry."""
    split, model = run.split("/")
    _, height, width = facts["crop_shape"]
    spec = geometry.HandInput(size=(width, height), root=ROOTS[model])
    drawn = crops.SingleAugmentation() if "train" in split else None
    if "seed" in facts:
        generators = np.random.RandomState(facts["seed"]), random.Random(facts["seed"])
        drawn = crops.draw_single_published(*generators, sample, spec, facts["occlusion_prob"])
    item = crops.single_hand(sample, drawn, input=spec, published=True)
    targets, meta = item["targets"], item["meta"]
    joints, verts = targets["joints_cam"], targets["verts_cam"]
    root, size = joints[spec.root], np.array(spec.size)
    K = sample["K"].astype(np.float32)
    in_picture = geometry.project_homogeneous(sample["joints_cam"][0].astype(np.float32), K)
    in_picture_verts = geometry.project_homogeneous(sample["verts_cam"][0], K)
    whole = np.array([sample["width"], sample["height"]])
    return {
        "image": item["image"],
        "rot_rad": drawn.rotation if drawn else 0.0,
        "rot_mat3d": meta["turn"],
        "affine": meta["affine"],
        "affine_postrot": targets["K"] @ np.linalg.inv(K),
        "target_bbox_center": meta["centre"],
        "target_bbox_scale": meta["side"],
        "target_joints_2d": targets["joints_uvd"][:, :2] * size,
        "target_joints_vis": targets["joints_valid"],
        "target_verts_2d": targets["verts_uvd"][:, :2] * size,
        "target_verts_vis": targets["verts_valid"],
        "target_root_d": targets["root_depth"],
        "target_joints_uvd": targets["joints_uvd"],
        "target_verts_uvd": targets["verts_uvd"],
        "target_cam_intr": targets["K"],
        "target_joints_3d": joints,
        "target_verts_3d": verts,
        "target_joints_3d_rel": joints - root,
        "target_verts_3d_rel": verts - root,
        "target_root_joint": root,
        "cam_center": K[:2, 2],
        "bbox_center": meta["centre"],
        "bbox_scale": geometry.centred_square(sample["bbox"], spec.box_scale)[1],
        "joints_vis": ((in_picture >= 0) & (in_picture < whole)).all(1),
        "verts_vis": ((in_picture_verts >= 0) & (in_picture_verts < whole)).all(1),
        "raw_size": whole,
    }


def _crop_rows(case, found, expected, facts):
    levels = np.round(found["image"] * 255).astype(np.uint8)
    yield Row(case, "crop, grey levels", deviation(levels[:, ::4, ::4], expected["crop_uint8_chw_every_4th"]), 0)
    sums = levels.sum((1, 2), dtype=np.int64)
    yield Row(case, "crop, sums per channel", deviation(sums, facts["crop_uint8_sum_per_channel"]), 0)
    ends = found["image"].min() - 0.5, found["image"].max() - 0.5
    yield Row(case, "image, least and most", deviation(ends, (facts["image_min"], facts["image_max"])), METRES)
    for name, wanted in expected.items():
        if name in ("idx", "crop_uint8_chw_every_4th"):  # idx: the place in the run's list
            continue
        value = np.asarray(found[name])
        value = value[::_EVERY] if "verts" in name else value
        pixels = name.endswith(("_2d", "affine", "affine_postrot", "_intr", "_scale"))
        yield Row(case, name, deviation(value, wanted), PIXELS if pixels else METRES)


def check_geometry(ref):
    """uvd and back with every camera, projections, bones, crop matrices."""
    arrays = ref.npz("preprocess.npz")
    yield from _uvd_rows({name: arrays[f"uvd/{name}"] for name in _names(arrays, "uvd/")})
    for number in sorted({name.split("/")[1] for name in arrays if name.startswith("affine/")}):
        case = {name: arrays[f"affine/{number}/{name}"] for name in _names(arrays, f"affine/{number}/")}
        K = np.eye(3)
        K[:2, 2] = case["optical_center"]
        size, rotation = tuple(case["out_res_wh"].tolist()), float(case["rot"])
        affine, crop = geometry.turned_affines(case["center"], case["scale"], size, rotation, K, published=True)
        largest = np.abs(case["affine"]).max()
        yield Row(f"affine {number}", "affine, relative", deviation(affine, case["affine"]) / largest, RELATIVE)
        largest = np.abs(case["affine_post_rot"]).max()
        yield Row(
            f"affine {number}", "after rotation, relative", deviation(crop, case["affine_post_rot"]) / largest, RELATIVE
        )
        yield Row(f"affine {number}", "rotation", deviation(geometry.turn(rotation), case["rot_mat3d"]), METRES)
        centre, side = geometry.centred_square(oakink_files.box(case["points"]), 1.0)
        yield Row(f"affine {number}", "box's centre px", deviation(centre, case["bbox_center"]), 0)
        yield Row(f"affine {number}", "box's side px", deviation(side, case["bbox_scale"]), PIXELS)


def _uvd_rows(case):
    xyz, K, root, camera = case["xyz"], case["intr"], case["root"], case["ortho_intr"]
    depth, bone, plain = root[:, 2:], case["ref_bone_len"], geometry.HandInput()
    with_bone = next(name for name in case if re.fullmatch(r"persp_bone_\d+x\d+_range[\d.]+_uvd", name))
    width, height, span = re.findall(r"\d+\.?\d*", with_bone)
    spec = geometry.HandInput(size=(int(width), int(height)), depth_span=float(span))
    found = {
        "persp_uvd": geometry.xyz_to_uvd(xyz, K, depth, plain),
        "persp_back": geometry.uvd_to_xyz(case["persp_uvd"], K, depth, plain),
        with_bone: geometry.xyz_to_uvd(xyz, K, depth, spec, bone),
        "persp_bone_back": geometry.uvd_to_xyz(case[with_bone], K, depth, spec, bone),
        "ortho_uvd": geometry.xyz_to_orthographic_uvd(xyz, root, camera, plain),
        "ortho_back": geometry.orthographic_uvd_to_xyz(case["ortho_uvd"], root, camera, plain),
        "batch_persp_project": geometry.project(xyz, K, eps=0.0),
        "persp_project_eps": geometry.project_homogeneous(xyz, K),
        "batch_ref_bone_len": np.linalg.norm(xyz[:, :1] - xyz[:, 9:10], axis=-1),
    }
    for name, value in found.items():
        yield Row("uvd", name, deviation(value, case[name]), PIXELS if "project" in name else METRES)
    relative = xyz - root[:, None]
    fitted = np.stack(
        [geometry.fit_orthographic(*pair) for pair in zip(relative, case["persp_project_eps"], strict=True)]
    )
    largest = np.abs(case["fit_ortho_param"]).max()
    yield Row("uvd", "fit_ortho_param, relative", deviation(fitted, case["fit_ortho_param"]) / largest, RELATIVE)


CHECKS = [check_annotations, check_splits, check_crops, check_geometry]
