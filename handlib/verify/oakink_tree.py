"""A small OakInk folder in the official layout, made of a reference folder's stand-in annotations."""

import json
import pickle

import cv2
import numpy as np

from handlib.datasets import oakink_splits as lists
from handlib.verify import standin

_MODES = ("default", "subject", "object", "handobject")


def frame(stem):
    """The stand-in picture (480, 848, 3) uint8 RGB that belongs to a sample's file name."""
    return (np.kron(standin.image(f"oakink:frame:{stem}", (60, 106, 3)), np.ones((8, 8, 1), np.float32)) * 256).astype(
        np.uint8
    )


def build(root, reference):
    """Write ``root``/image/… (annotations, splits, pictures, objects, packed annotations); returns ``root``.

    Every mode has the same lists: test and train+val as the reference ran them, train and val its two parts.
    """
    description, arrays = reference.json("preprocess.json"), reference.npz("preprocess.npz")
    entries = description["raw"]["info"]
    image = root / "image"
    for number, entry in enumerate(entries):
        prefix = f"raw/{number}/"
        raw = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
        sample = lists.Sample(*entry)
        _annotate(image, sample, raw)
        write_picture(image, sample)
    for name in {name.split("/")[2] for name in arrays if name.startswith("raw/obj/")}:
        _mesh(image / "obj" / f"{name}.obj", arrays[f"raw/obj/{name}/vertices"])
    status = {
        description["raw"]["info"][int(n)][0]: facts["sample_status"] for n, facts in description["oikit"].items()
    }
    dump_json(image / "anno" / "seq_status.json", status)
    dump_json(image / "anno" / "seq_all.json", entries)
    _splits(image, entries, description["test/integral"]["info"], description["train/integral"]["info"])
    for split in ("test", "train+val"):
        for entry in json.loads(lists.list_file(image, split, "default").read_text()):
            pack(image, "anno_packed/default", split, entry, arrays, entries)
    for entry in json.loads(lists.list_file(image, "test", "subject", True).read_text()):
        pack(image, "anno_packed_mv/subject", "test", entry, arrays, entries)
    return root


def _splits(image, entries, test, train):
    extended = [entry for entry in lists.extend(test) if entry in entries]
    for mode in _MODES:
        parts = {"test": test, "train+val": train, "train": train[:-1], "val": train[-1:]}
        for split, part in parts.items():
            dump_json(lists.list_file(image, split, mode), part)
        if mode in ("subject", "object"):
            dump_json(lists.list_file(image, "test", mode, multiview=True), extended)


def _annotate(image, sample, raw):
    import torch

    member = {name: torch.from_numpy(value.copy()) for name, value in raw.items()}
    general = {
        "hand_anno": {
            "hand_pose": member["hand_pose_quat_world"],
            "hand_shape": member["hand_shape"],
            "hand_tsl": member["hand_tsl"],
        },
        "cam_extr": member["cam_extr"],
        "cam_intr": member["cam_intr"],
        "obj_anno": member["obj_anno"],
    }
    for kind in ("cam_intr", "hand_j", "hand_v", "obj_transf"):
        dump(image / "anno" / kind / f"{sample.stem}.pkl", raw[kind])
    dump(image / "anno" / "general_info" / f"{sample.stem}.pkl", general)


def pack(image, kind, split, entry, arrays, entries):
    """One file of the published packer."""
    number = entries.index(entry)
    packed = {name: arrays[f"raw/{number}/{name}"] for name in ("cam_intr", "hand_j", "hand_v")}
    packed |= {name: arrays[f"oikit/{number}/{name}"] for name in ("mano_pose", "mano_shape")}
    packed |= {"obj_transf": arrays[f"raw/{number}/obj_transf"].astype(np.float32), "sample_status": False}
    if "_mv" in kind:
        packed["cam_extr"] = arrays[f"raw/{number}/cam_extr"]
    dump(image / kind / split / f"{lists.Sample(*entry).stem}.pkl", packed)


def write_picture(image, sample):
    path = image / "stream_release_v2" / sample.picture
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), frame(sample.stem)[..., ::-1])


def dump(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value))


def dump_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def _mesh(path, verts):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in verts.tolist()] + ["f 1 2 3", "f 4 5 6", "f 6 7 8"]
    path.write_text("\n".join(lines) + "\n")
