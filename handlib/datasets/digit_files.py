"""DIGIT's own packed files (Fan et al., 3DV 2021) as a source of InterHand2.6M samples.

``images/interhand.lmdb`` has PNGs under .jpg names, with red and blue exchanged before they were encoded;
``segm_32.lmdb`` has the part masks; ``cache/meta_dict_<split>.pkl`` says which hands have a MANO fit;
``annotations/<split>/…_data.pkl`` has the records of data.json.
"""

import dataclasses
import functools
from pathlib import Path

import numpy as np

from handlib import safe_pickle, stores
from handlib.datasets import interhand_files as files
from handlib.datasets.base import Skip, check_picture
from handlib.datasets.interhand import InterHand
from handlib.files import InputError, require, shown

_MEND = "copy DIGIT's packed files to their places, or read the official files (source='official')"


def read_pictures(path):
    """…_data.pkl, {id: image record with its annotation under "anno"} -> as `interhand_files.read_pictures`."""
    images, annotations = files.picture_columns(path)
    for number, record in _named(path).items():
        images.append(record)
        if "anno" not in record:
            raise InputError(path, "lacks 'anno'", _MEND, field=shown(number))
        annotations.append(record["anno"])
    return files.join(path, images.arrays(), annotations.arrays())


def _named(path):
    """A pickle that holds a dictionary."""
    found = safe_pickle.read_pickle(path, mend=_MEND)
    if not isinstance(found, dict):
        raise InputError(path, "does not hold a dictionary", _MEND)
    return found


def mask_valid(hands, right_error, left_error):
    """Published rule: a part mask counts when there are fits (an error that is not None) for exactly the hands in
    view.
    """
    fits = (right_error is not None, left_error is not None)
    return fits == (hands != "left", hands != "right")


class DigitInterHand(InterHand):
    """As `InterHand`, with DIGIT's packed pictures and part masks. MANO parameters come from NeuralAnnot's JSON if it
    is there.

    Raises InputError when one of the packed files is missing. Iterating skips pictures without an entry in meta_dict.
    """

    source = "digit"

    def _read_pictures(self):
        table = read_pictures(self._source("data", "pkl"))
        path = self.root / "cache" / f"meta_dict_{self.base}.pkl"
        self.fit_errors = _named(path)
        self.sources[path.name] = path
        return table

    def _completion(self, bodies):
        return Completion(str(self.root))

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        errors = self.fit_errors.get(sample["key"])
        if errors is None:
            raise Skip(sample["key"], "picture has no entry in meta_dict")
        if not isinstance(errors, dict) or not {"right_fit_err", "left_fit_err"} <= set(errors):
            raise InputError(self.sources[f"meta_dict_{self.base}.pkl"], "lacks the fits' errors", _MEND, sample["key"])
        sample["part_mask_valid"] = mask_valid(sample["hands"], errors["right_fit_err"], errors["left_fit_err"])
        return sample


@dataclasses.dataclass(frozen=True)
class Completion:
    """Fetches picture and part mask from DIGIT's stores."""

    root: str
    why = "from segm_32.lmdb"

    def __post_init__(self):
        for store in ("images/interhand.lmdb", "segm_32.lmdb"):
            require(Path(self.root) / store, _MEND)

    def fingerprint(self):
        return {}

    def __call__(self, sample):
        key = sample["key"]
        image = check_picture(sample, self._fetch("images/interhand.lmdb", key, sample))
        sample = {**sample, "image": np.ascontiguousarray(image[..., ::-1]), "part_mask": None}
        if sample["part_mask_valid"]:
            # The published code makes this name by replacing "jpg" wherever it stands.
            mask = check_picture(sample, self._fetch("segm_32.lmdb", key.replace("jpg", "png"), sample))
            if not (mask[..., :1] == mask).all() or mask.max() > 32:
                raise Skip(key, "part mask does not hold one class 0..32 for each pixel")
            sample["part_mask"] = np.ascontiguousarray(mask[..., 0])
        return sample

    def _fetch(self, store, name, sample):
        data = _opened(str(Path(self.root) / store)).get(name.encode())
        if data is None:
            raise Skip(sample["key"], f"is missing in {store}", name)
        return data


@functools.lru_cache(maxsize=8)
def _opened(path):
    return stores.Store(path, _MEND)
