"""The two ways in which OakInk-Image's annotations lie on disk, as one dictionary per sample.

`official`: anno/, one pickle per sample and kind. `packed`: anno_packed/ and anno_packed_mv/, one pickle per sample,
written by the published packer.
"""

import numpy as np

from handlib.datasets import oakink_files as files
from handlib.datasets.base import Skip

_SHAPES = {"cam_intr": (3, 3), "hand_j": (21, 3), "hand_v": (778, 3), "obj_transf": (4, 4)}


def official(image, sample):
    """``hand_j`` (21, 3), ``hand_v`` (778, 3), ``cam_intr`` (3, 3), ``obj_transf`` (4, 4), ``pose`` (48,), ``shape``
    (10,) and ``cam_extr`` (4, 4) from the annotation folders. Raises Skip, and InputError for a file that is refused.
    """
    folder = image / "anno"
    read = {kind: files.read(folder / kind / f"{sample.stem}.pkl", sample) for kind in files.KINDS}
    out = {kind: files.array(kind, read[kind], shape, sample) for kind, shape in _SHAPES.items()}
    hand, camera = (_member(read["general_info"], name, sample) for name in ("hand_anno", "cam_extr"))
    quaternions = _member(hand, "hand_pose", sample)
    if isinstance(quaternions, np.ndarray) and quaternions.shape == (64,):
        quaternions = quaternions.reshape(16, 4)
    quaternions = files.array("hand_pose", quaternions, (16, 4), sample)
    out["cam_extr"] = files.array("cam_extr", camera, (4, 4), sample)
    out["shape"] = files.array("hand_shape", _member(hand, "hand_shape", sample), (10,), sample)
    return out | {"pose": files.flat_pose(quaternions, out["cam_extr"][:3, :3])}


def packed(folder, sample):
    """The same from one file of the published packer below ``folder``; ``cam_extr`` only where it wrote one
    (multi-view), and ``status``, the sequence's.
    """
    read = files.read(folder / f"{sample.stem}.pkl", sample)
    out = {kind: files.array(kind, _member(read, kind, sample), shape, sample) for kind, shape in _SHAPES.items()}
    out["pose"] = files.array("mano_pose", _member(read, "mano_pose", sample), (16, 3), sample).reshape(48)
    out["shape"] = files.array("mano_shape", _member(read, "mano_shape", sample), (10,), sample)
    if "cam_extr" in read:
        out["cam_extr"] = files.array("cam_extr", read["cam_extr"], (4, 4), sample)
    return out | {"status": read.get("sample_status")}


def _member(mapping, name, sample):
    if not isinstance(mapping, dict) or name not in mapping:
        raise Skip(sample.stem, "annotation lacks a member", name)
    return mapping[name]
