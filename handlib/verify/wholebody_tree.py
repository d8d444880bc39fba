"""Whole-body data sets as a reference folder describes them: files in the official layouts, below a folder."""

import json
import pickle
from pathlib import Path

import cv2
import numpy as np

from handlib.files import InputError

# A case's data set, by whose programs it was read -> our name, and options of the reader.
READERS = {
    ("h4w", "MSCOCO"): ("mscoco", {"fits": "hand4whole"}),
    ("osx", "MSCOCO"): ("mscoco", {"fits": "osx"}),
    ("h4w", "AGORA"): ("agora", {"source": "hand4whole"}),
    ("osx", "AGORA"): ("agora", {"source": "osx"}),
    ("h4w", "EHF"): ("ehf", {}),
    ("h4w", "Human36M"): ("human36m", {}),
    ("h4w", "MPII"): ("mpii", {}),
    ("h4w", "MPI_INF_3DHP"): ("mpi_inf_3dhp", {}),
    ("h4w", "PW3D"): ("pw3d", {}),
    ("osx", "UBody"): ("ubody", {"every": 10}),
    ("p2p", "MSCOCO_hand"): ("mscoco", {"part": "hand"}),
    ("p2p", "FreiHAND"): ("freihand", {"source": "derived"}),
    ("p2p", "InterHand26M"): ("interhand", {"part": "hand"}),
}
FOLDERS = {"MSCOCO_hand": "MSCOCO"}  # of sets whose cases are not called after their folder
SPLITS = {("MSCOCO", "test"): "val", ("AGORA", "test_val"): "validation", ("AGORA", "test_test"): "test",
          ("FreiHAND", "train"): "training", ("FreiHAND", "test"): "evaluation"}  # fmt: skip


def build(folder, ref, source):
    """Write the files of ``datasets/<source>`` below ``folder``; returns it."""
    for name, entry in ref.json(f"datasets/{source}/input_files.json").items():
        for kind, content in entry.items():
            _WRITERS[kind](_inside(folder, name), content)
    for name, picture in ref.npz(f"datasets/{source}/input_images.npz").items():
        cv2.imwrite(str(_inside(folder, name)), picture[..., ::-1])
    return folder


def _inside(folder, name):
    path = Path(folder) / name
    if not path.resolve().is_relative_to(Path(folder).resolve()):
        raise InputError(name, "is no path below the data", "use the reference folder as it came")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _json(path, content):
    path.write_text(json.dumps(content))


def _ply(path, lines):
    header = ["ply", "format ascii 1.0", f"element vertex {len(lines)}"]
    header += [f"property float {axis}" for axis in "xyz"] + ["end_header"]
    path.write_text("\n".join([*header, *lines]) + "\n")


def _pickle(path, arrays):
    whole = {name: np.array(values, np.float32) for name, values in arrays.items()}
    path.write_bytes(pickle.dumps(whole, protocol=2))


_WRITERS = {
    "json": _json,
    "ply_vertices_ascii": _ply,
    "pickle_float32_arrays": _pickle,
    "npy_strings": lambda path, names: np.save(path, np.array(names)),
}
