"""A small InterHand2.6M folder for tests: the reference fixture, with pictures made by its formula."""

import json
import pickle
import shutil

import cv2
import lmdb

from handlib.verify import interhand_data
from handlib.verify.reference import shipped


def edit(path, change):
    """Read a JSON file, let ``change`` alter it in place, write it back."""
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def annotations(root, split, kind):
    return root / "annotations" / split / f"InterHand2.6M_{split}_{kind}.json"


def build(root, splits=("train", "val", "test")):
    """The fixture with JPEG pictures; returns ``root``."""
    shutil.copytree(shipped("interhand").path("fixture"), root, copy_function=shutil.copyfile)
    for split in splits:
        for image in json.loads(annotations(root, split, "data").read_text())["images"]:
            path = root / "images" / split / image["file_name"]
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = interhand_data.fixture_picture(image["id"], image["height"], image["width"])
            cv2.imwrite(str(path), picture[..., ::-1])
    return root


def repeat(root, split, times):
    """Make the split ``times`` as long: the same pictures under new ids and file names (hard links)."""

    def change(data):
        images, notes = list(data["images"]), list(data["annotations"])
        for turn in range(1, times):
            for image, note in zip(images, notes, strict=True):
                name = image["file_name"].replace(".jpg", f"_{turn}.jpg")
                (root / "images" / split / name).hardlink_to(root / "images" / split / image["file_name"])
                number = image["id"] + 1_000_000 * turn
                data["images"].append({**image, "id": number, "file_name": name})
                data["annotations"].append({**note, "id": number, "image_id": number})

    edit(annotations(root, split, "data"), change)


def add_digit_files(root, split):
    """DIGIT's packed files beside the official ones, made as its set-up page says."""
    reference = shipped("interhand")
    data = json.loads(annotations(root, split, "data").read_text())
    records = {
        image["id"]: {**image, "anno": note} for image, note in zip(data["images"], data["annotations"], strict=True)
    }
    annotations(root, split, "data").with_suffix(".pkl").write_bytes(pickle.dumps(records))
    errors = reference.json(f"fixture/cache/meta_dict_{split}.json")
    (root / "cache" / f"meta_dict_{split}.pkl").write_bytes(pickle.dumps(errors))
    facts = reference.json("preprocess.json")["fixture_images"]
    (root / "images").mkdir(exist_ok=True)
    with _store(root / "images" / "interhand.lmdb") as pictures, _store(root / "segm_32.lmdb") as masks:
        for image in data["images"]:
            key, size = f"{split}/{image['file_name']}", (image["height"], image["width"])
            picture = interhand_data.fixture_picture(image["id"], *size)  # RGB, where imencode expects BGR
            _put(pictures, key, picture)
            if facts[key]["mask_in_store"]:
                mask = interhand_data.fixture_mask(image["id"], *size)
                _put(masks, key.replace("jpg", "png"), cv2.merge([mask] * 3))


def _store(path):
    return lmdb.open(str(path), map_size=1 << 28)


def _put(store, key, picture):
    with store.begin(write=True) as transaction:
        transaction.put(key.encode(), cv2.imencode(".png", picture)[1].tobytes())
