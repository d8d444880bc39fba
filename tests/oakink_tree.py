"""A small OakInk folder for tests, in the official layout; `files` and `edit` are for damaging it."""

import json
import pickle

from handlib.datasets import oakink_splits
from handlib.verify import oakink_tree
from handlib.verify.reference import shipped


def build(root):
    """The stand-in annotations and pictures below ``root``/image; returns ``root``."""
    return oakink_tree.build(root, shipped("oakink"))


def entries():
    return shipped("oakink").json("preprocess.json")["raw"]["info"]


def stem(number):
    return oakink_splits.Sample(*entries()[number]).stem


def annotation(root, kind, number):
    return root / "image" / "anno" / kind / f"{stem(number)}.pkl"


def picture(root, number):
    return root / "image" / "stream_release_v2" / oakink_splits.Sample(*entries()[number]).picture


def rewrite(path, value):
    path.write_bytes(pickle.dumps(value))


def list_file(root, split="test", mode="default", multiview=False):
    return oakink_splits.list_file(root / "image", split, mode, multiview)


def relist(root, listed, **which):
    list_file(root, **which).write_text(json.dumps(listed))
