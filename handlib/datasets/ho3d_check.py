"""HandOccNet's derived files of HO-3D beside what the released pickles say."""

import numpy as np

from handlib.datasets import derived, ho3d
from handlib.datasets.base import Skip
from handlib.files import InputError, progress

FIELDS = {  # what is compared: unit, and how large a difference is rounding
    "joints_cam": ("m", 1e-6),
    "K": ("px", 1e-3),
    "bbox": ("px", 1e-3),
    "orientation": ("rad", 1e-4),
    "fingers": ("rad", 1e-4),
    "shape": ("", 1e-5),
}


def compare_with_derived(root, file, split="train", bodies=None, every=1, show_progress=False):
    """HandOccNet's derived file against the same made here from the released pickles -> DataFrame, see
    `derived.comparison`.

    root: HO-3D's folder; file: the path of HO3D_train_data.json or HO3D_evaluation_data.json; split: "train" or
    "evaluation", which of them it is; every: only each so many-th frame of the file.

    Fields beside "frames" and "order": those of the samples (of evaluation frames the wrist, the intrinsics and the
    box); "orientation" is the angle between global rotations, "fingers" the difference of the 45 other values, which
    the file has without MANO's mean pose. bodies: the folder of MANO_RIGHT.pkl, which has it; without one, what most
    frames differ by is taken for it. Frames that cannot be read are counted in ``attrs["skipped"]``. Raises InputError
    for files that are missing or damaged, and when nothing is common to both.
    """
    mine, theirs = ho3d.reader(root, split), ho3d.HO3D(root, split, source="derived", file=file)
    official = {frame.key: place for place, frame in enumerate(mine.list)}
    found, fingers, skipped = {name: [] for name in FIELDS}, [], {}
    for index in progress(range(0, len(theirs), every), desc="frames", disable=not show_progress):
        key = theirs.list[index].key
        if key not in official:
            continue
        try:
            pair = mine[official[key]], theirs[index]
        except Skip as skip:
            skipped[skip.reason] = skipped.get(skip.reason, 0) + 1
            continue
        for name, value in _differences(*pair).items():
            found[name].append((key, value))
        if split == "train":
            fingers.append((key, (pair[0]["pose_flat"] - pair[1]["pose_from_mean"])[0, 3:]))
    if not found["K"]:
        raise InputError(file, f"has no frame of {split}.txt that can be read", "compare files of one version")
    found["fingers"] = _fingers(fingers, bodies)
    table = derived.comparison([frame.key for frame in theirs.list], list(official), found, FIELDS)
    table.attrs["skipped"] = skipped
    return table


def _differences(mine, other):
    """{field: the largest difference of one frame}."""
    annotated = mine["joints_valid"] & other["joints_valid"]
    found = {"joints_cam": np.abs(mine["joints_cam"] - other["joints_cam"])[annotated].max()}
    found["K"] = np.abs(mine["K"] - other["K"]).max()
    if other["mano_valid"].all():
        found["orientation"] = derived.turned(mine["pose_flat"][0, :3], other["pose_from_mean"][0, :3])
        found["shape"] = np.abs(mine["shape"] - other["shape"]).max()
    else:
        found["bbox"] = np.abs(mine["bbox"] - other["bbox"]).max()
    return {name: float(value) for name, value in found.items()}


def _fingers(offsets, folder):
    """[(key, largest difference)] of what is left of the fingers' offsets when the mean pose is taken away."""
    if not offsets:
        return []
    if folder is None:
        mean = np.median([offset for _, offset in offsets], 0)
    else:
        from handlib import bodies

        mean = bodies.load(folder, "mano_right").hands_mean.double().numpy()
    return [(key, float(np.abs(offset - mean).max())) for key, offset in offsets]
