"""The data side of whole bodies: every data set read from its official layout, cropped, with every target.

The fits' joints are made on the batch by the SMPL-X layer, of the stand-in model.
"""

import functools
import re
import tempfile

import numpy as np
import torch

from handlib import crops, datasets, geometry, pictures
from handlib.bodies import files, smplx
from handlib.crops import person_targets
from handlib.datasets import agora, agora_crops, agora_files, ehf
from handlib.verify import Row, Skip, standin, wholebody_tree
from handlib.verify.reference import deviation
from handlib.verify.wholebody_layers import smplx_model

CROP, RELATIVE = 2e-3, 1e-4
STEP, _VERTEX_STEP = 32, 64  # every so-manyth pixel, vertex is stored
STATISTICS = "image_stats"
_INPUTS = {"h4w": geometry.PersonInput(), "osx": geometry.PersonInput(volume=(16, 16, 12))}
_MESHES = {"smplx_mesh_cam", "smpl_mesh_cam"}
_CASE = re.compile(r"(.+?)_(train|test(?:_\w+)?)")


def check_datasets(ref):
    """Every case of ``datasets/h4w`` and ``datasets/osx``, with each forced augmentation."""
    for source, spec in _INPUTS.items():
        for case, found, stored, augmentations in cases(ref, source):
            if isinstance(found, list):
                yield from _case(case, spec, found, stored, augmentations)
            else:
                yield found


def cases(ref, source):
    """(case's name, its samples, stored arrays with the pictures' statistics, forced augmentations) of
    ``datasets/<source>``; instead of samples also the `Row` of how many they are, and a `Skip` where there is no such
    folder.
    """
    if not ref.has(f"datasets/{source}/samples.json"):
        yield source, Skip(source, f"there is no datasets/{source}/samples.json"), None, None
        return
    facts = ref.json(f"datasets/{source}/samples.json")
    with tempfile.TemporaryDirectory() as folder:
        wholebody_tree.build(folder, ref, source)
        for case, its in facts["sets"].items():
            name, split = _CASE.fullmatch(case).groups()
            found, title = _read(folder, source, name, split), f"{source}/{case}"
            row = Row(title, "samples (difference)", float(abs(len(found) - its["length"])), 0.0)
            yield title, row, None, None
            stored = ref.npz(f"datasets/{source}/{case}.npz")
            stored |= {f"{item}/{STATISTICS}": known for item, known in its["image_stats"].items()}
            yield title, found, stored, facts["augmentations"]


def crop_rows(case, image, expected):
    """A crop's stored pixels, and shape, mean, spread and maximum of the whole; takes them out of ``expected``."""
    yield Row(case, "crop", deviation(image[:, ::STEP, ::STEP], expected.pop("img")), CROP)
    expected.pop("img_opencv5", None)
    known, exact = expected.pop(STATISTICS, None), image.astype(np.float64)
    if known is not None:
        shape = list(image.shape) == known["shape"]
        off = deviation((exact.mean(), exact.std(), exact.max()), [known[one] for one in ("mean", "std", "max")])
        yield Row(case, "whole crop: mean, spread, maximum", off if shape else float("inf"), RELATIVE)


def _read(folder, source, name, split):
    """A case's samples whose pictures are there, decoded."""
    ours, options = wholebody_tree.READERS.get((source, name)) or wholebody_tree.READERS["h4w", name]
    split = wholebody_tree.SPLITS.get((name, split), split)
    root = f"{folder}/{wholebody_tree.FOLDERS.get(name, name)}"
    reader = datasets.read(ours, root, split, **options)
    found = []
    for sample in reader:
        try:
            whole = reader.complete(sample)
        except datasets.base.Skip:
            continue
        found.append(whole | {"image": pictures.decode(whole["image"])})
    return found


def _case(case, spec, found, stored, augmentations):
    """The case's crops; their fits go through the body model together."""
    parts = [name.split("/") for name in stored]
    keys = sorted({(drawn, int(index)) for drawn, index, *_ in parts if int(index) < len(found)})
    if not keys:
        return
    items = [_cropped(found[index], augmentations[drawn], spec) for drawn, index in keys]
    batch = {name: torch.from_numpy(np.stack([one["targets"][name] for one in items])) for name in items[0]["targets"]}
    targets = person_targets.targets_from_fits(batch, _layer(), spec)
    meshes = person_targets.meshes_of_fits(batch, _layer()) if any(name.endswith("mesh_cam") for name in stored) else ()
    for place, ((drawn, index), item) in enumerate(zip(keys, items, strict=True)):
        start = f"{drawn}/{index}/"
        expected = {name.removeprefix(start): array for name, array in stored.items() if name.startswith(start)}
        own = {name: values[place].numpy() for name, values in targets.items()}
        mesh = meshes[place].numpy() if len(meshes) else None
        yield from _sample(f"{case}/{drawn}/{index}", spec, found[index], item, own, mesh, expected)


def _cropped(sample, drawn, spec):
    rotation, colour = np.pi * drawn["rot_degrees"] / 180, tuple(drawn["color"])
    augmentation = crops.PersonAugmentation(drawn["scale"], rotation, colour, drawn["flip"])
    return crops.person(sample, augmentation, input=spec, published=True)


def _sample(case, spec, sample, item, targets, mesh, expected):
    yield from crop_rows(case, item["image"], expected)
    for name, value in expected.items():
        own = name.split("/")[1]
        found = _mesh(sample, mesh, value, own) if own in _MESHES else _value(sample, item, targets, own)
        value, found = _comparable(sample, own, value, np.asarray(found), spec, targets)
        scale = np.abs(value).max(initial=1.0)
        yield Row(case, name, deviation(found, value), RELATIVE * scale)


def _value(sample, item, targets, own):
    if own == "bb2img_trans":
        return item["meta"]["picture_inverse"]
    if own == "smplx_cam_trans":
        return sample["smplx_transl"]
    return targets[own]


def _comparable(sample, own, value, found, spec, targets):
    """Where the published targets have a form of their own (stored value, ours)."""
    if value.shape != found.shape and found.shape == (*value.shape, 1):
        found = found[..., 0]  # AGORA's validity as published lacks an axis, and the published training breaks at it
    if own in ("smplx_joint_img", "smplx_joint_cam") and not targets["smplx_joint_valid"].any():
        return value * 0, found  # OSX has the annotated joints there, AGORA's, and does not look at them
    box = re.fullmatch(r"(\w+_bbox)_(center|size)", own)
    if box and not targets[f"{box[1]}_valid"]:
        return value * 0, found * 0  # a box that there is not: 0 0 1 1 or all zeros, by the set
    if box and "smplx_verts" in sample and not sample["smplx_valid"][0]:
        depth, height, width = spec.volume  # EHF's boxes are scaled with the axes one further on; nothing uses them
        found = found * np.array([height / width, depth / height])
    return value, found


def _mesh(sample, mesh, value, own):
    """Vertices of the truth, as the published code has them."""
    if own == "smpl_mesh_cam":
        return _smpl(sample)[::_VERTEX_STEP]
    if not sample["smplx_valid"][0] and "smplx_verts" in sample:
        return (sample["smplx_verts"] - ehf.SHIFT) @ ehf.ROTATION  # back into the scanner's frame
    if "smplx_verts" in sample:
        return sample["smplx_verts"]
    if not sample["smplx_valid"][0]:
        return np.zeros_like(value)
    return mesh[::_VERTEX_STEP]


def _smpl(sample):
    layer = _smpl_layer(sample["gender"])
    pose = torch.from_numpy(sample["smpl_pose"]).reshape(1, 72)
    out = layer(root_pose=pose[:, :3], body_pose=pose[:, 3:], shape=torch.from_numpy(sample["smpl_shape"])[None],
                transl=torch.from_numpy(sample["smpl_transl"])[None])  # fmt: skip
    return out["verts"][0].numpy()


@functools.cache
def _layer():
    return smplx.BodyLayer(smplx_model())


@functools.cache
def _smpl_layer(gender):
    return smplx.BodyLayer(smplx.select(files.model(standin.smpl(gender), "stand-in", "smpl")))


def check_agora_crops(ref):
    """What each crop that lies beside AGORA's pictures shows, from the annotated boxes alone."""
    picture = np.zeros((2160, 3840, 3), np.uint8)
    for source, which in (("h4w", "hand4whole"), ("osx", "osx")):
        if not ref.has(f"datasets/{source}/input_files.json"):
            continue
        with tempfile.TemporaryDirectory() as folder:
            root = wholebody_tree.build(folder, ref, source) + "/AGORA"
            for split in agora.splits(root):
                path = agora.annotations(root, split)[1]
                for name, boxes in agora_crops.persons(path, split, which).items():
                    for stem, box in boxes:
                        folder_of = path.parent / name.split("/")[0] / f"{name.split('/')[1]}_crop"
                        own = agora_files.told(folder_of / f"{stem}.json")[1]
                        affine = agora_crops.cropped(picture, box, which)[2]
                        yield Row(f"{source}/{split}/{stem}", "map of the crop", deviation(affine, own), RELATIVE)


CHECKS = [check_datasets, check_agora_crops]
