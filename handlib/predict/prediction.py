"""What a Predictor says about one picture."""

import dataclasses
import json
import zipfile

import numpy as np

from handlib.files import InputError, require, write_atomic

SIDES = ("right", "left")
DOUBTFUL, LEAST = 0.1, 0.2  # of the box's longer side
_ARRAYS = {
    "K": (3, 3), "side": (None,), "boxes": (None, 4), "joints_cam": (None, 21, 3), "verts_cam": (None, None, 3),
    "joints_img": (None, 21, 2), "pose_from_mean": (None, 48), "shape": (None, 10), "transl": (None, 3),
    "reprojection_px": (None,), "score": (None,), "right_faces": (None, 3),
}  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """N hands of a picture; camera frame (x right, y down, z forward), metres; pixels of the picture as shown.

    name; size (w, h); K (3, 3) float64 and K_source, where it comes from in words; side (N,) int8, 0 right, 1 left;
    boxes (N, 4) x, y, w, h; joints_cam (N, 21, 3) and verts_cam (N, 778, 3), at their places in space; joints_img
    (N, 21, 2) as the network saw them in the picture; pose_from_mean (N, 48) axis-angle, offsets from the mean pose,
    shape (N, 10) and transl (N, 3), with ``verts_cam = layer(pose, shape) + transl`` of the hand's own side
    (``Predictor.layers``); reprojection_px (N,): mean distance between joints_img and joints_cam seen by K; score (N,)
    of the detector, NaN where there was none; right_faces (1538, 3), see `faces`; skipped: (number of the box, why) for
    each that was left out.
    """

    name: str
    size: tuple
    K: np.ndarray
    K_source: str
    side: np.ndarray
    boxes: np.ndarray
    joints_cam: np.ndarray
    verts_cam: np.ndarray
    joints_img: np.ndarray
    pose_from_mean: np.ndarray
    shape: np.ndarray
    transl: np.ndarray
    reprojection_px: np.ndarray
    score: np.ndarray
    right_faces: np.ndarray
    skipped: tuple = ()

    def __len__(self):
        return len(self.side)

    def faces(self, side):
        """(1538, 3) corners, counter-clockwise seen from outside; side: "right", "left", 0 or 1."""
        left = side == "left" or (not isinstance(side, str) and int(side) == 1)
        return self.right_faces[:, [1, 0, 2]] if left else self.right_faces

    @property
    def doubtful(self):
        """(N,) bool: joints in space and in the picture disagree by more than a tenth of the box, or the joints fill
        less than a fifth of it: as where a box holds no hand, is far too large, the other side was said, or the network
        is not trained enough.
        """
        box = self.boxes[:, 2:].max(1, initial=0)
        spread = np.ptp(self.joints_img, axis=1).max(1, initial=0) if len(self) else box
        return (self.reprojection_px > DOUBTFUL * box) | (spread < LEAST * box)

    def hands(self, chosen):
        """The given hands only (a slice, a mask or places)."""
        rows = {name: getattr(self, name)[chosen] for name, shape in _ARRAYS.items() if shape[0] is None}
        rows.pop("right_faces")
        return dataclasses.replace(self, **rows)

    def save(self, path):
        """Write one .npz, whole or not at all."""
        facts = {"name": self.name, "size": list(self.size), "K_source": self.K_source, "skipped": self.skipped}
        with write_atomic(path) as temporary, open(temporary, "wb") as file:
            arrays = {name: getattr(self, name) for name in _ARRAYS}
            arrays["right_faces"] = arrays["right_faces"].astype(np.int16)  # 778 vertices: a quarter of the file
            np.savez(file, facts=np.array(json.dumps(facts)), **arrays)

    @classmethod
    def load(cls, path):
        """Read what `save` wrote. InputError when it is missing, damaged or another kind of file."""
        require(path, "write it with Prediction.save")
        try:
            with np.load(path, allow_pickle=False) as file:
                facts = json.loads(str(file["facts"]))
                arrays = {name: file[name] for name in _ARRAYS}
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(path, f"holds no prediction ({error})", "remove it and run again") from error
        for name, shape in _ARRAYS.items():
            got = arrays[name].shape
            if len(got) != len(shape) or any(want not in (None, is_) for want, is_ in zip(shape, got, strict=True)):
                raise InputError(path, f"has shape {got}", "remove it and run again", name)
        arrays["right_faces"] = arrays["right_faces"].astype(np.int64)
        skipped = tuple((int(number), str(why)) for number, why in facts["skipped"])
        words = {"name": facts["name"], "size": tuple(facts["size"]), "K_source": facts["K_source"]}
        return cls(**words, **arrays, skipped=skipped)


def empty(name, size, K, K_source, right_faces, verts=778, skipped=()):
    """A picture without hands."""
    arrays = {key: np.zeros((0, *shape[1:]), np.float32) for key, shape in _ARRAYS.items() if None not in shape[1:]}
    arrays |= {"K": K, "right_faces": right_faces, "verts_cam": np.zeros((0, verts, 3), np.float32)}
    arrays["side"] = np.zeros(0, np.int8)
    return Prediction(name=name, size=size, K_source=K_source, skipped=tuple(skipped), **arrays)
