"""HandOccNet's derived files of DexYCB beside what the original release says."""

import dataclasses

import numpy as np

from handlib.datasets import derived, dexycb, dexycb_derived
from handlib.datasets.base import Skip
from handlib.files import InputError, progress

FIELDS = {  # what is compared: unit, and how large a difference is rounding
    "joints_cam": ("m", 1e-6),
    "joints_img": ("px", 1e-3),
    "bbox": ("px", 1e-3),
    "K": ("px", 1e-3),
    "orientation": ("rad", 1e-4),
    "fingers": ("rad", 1e-4),
    "shape": ("", 1e-5),
    "hand": ("", 0),
}


def compare_with_derived(root, file, split="train", bodies=None, every=1, show_progress=False):
    """HandOccNet's derived file against what the original release's labels say -> DataFrame, see `derived.comparison`.

    root: DexYCB's folder; file: the path of DEX_YCB_s0_train_data.json or the test's; split: "train", "val" or "test",
    which of them it is; every: only each so many-th image of the originals' list; bodies: folder of MANO_RIGHT.pkl and
    MANO_LEFT.pkl: without them poses are not compared.

    Fields beside "frames" and "order": those of the samples; "orientation" is the angle between global rotations,
    "fingers" the difference of the 45 other values, "hand" counts frames that call a right hand left. Images without a
    hand belong in neither; those that cannot be read are counted, with them, in ``attrs["skipped"]``. Raises InputError
    for files that are missing or damaged, and when nothing is common to both.
    """
    original = dexycb.reader(root, split, bodies=bodies)
    theirs = dexycb_derived.Derived(original.root, split, dexycb_derived.SETUP, original.complete.window, file)
    places = {theirs.annotation(place)["key"]: place for place in range(len(theirs))}
    complete = dataclasses.replace(original.complete, training=False)  # what training leaves out is in both
    found, official, seen, skipped = {name: [] for name in FIELDS}, [], set(), {}
    for index in progress(range(0, len(original), every), desc="frames", disable=not show_progress):
        try:
            light = original.light(index)
            seen.add(light["key"])
            mine = complete.annotated(light)
        except Skip as skip:
            skipped[skip.reason] = skipped.get(skip.reason, 0) + 1
            continue
        official.append(mine["key"])
        if mine["key"] in places:
            _add(found, mine, theirs.annotation(places[mine["key"]]))
    if not found["K"]:
        raise InputError(file, f"has no image of {original.root} that can be read", "compare files of the same split")
    kept = list(places) if every == 1 else [key for key in places if key in seen]
    table = derived.comparison(kept, official, found, FIELDS)
    table.attrs["skipped"] = skipped
    return table


def _add(found, mine, other):
    differences = {name: np.abs(mine[name] - other[name]).max() for name in ("joints_cam", "joints_img", "bbox", "K")}
    if mine["mano_valid"].all():
        one, two = mine["pose_from_mean"][0], other["pose_from_mean"][0]
        differences["orientation"] = derived.turned(one[:3], two[:3])
        differences["fingers"] = np.abs(one[3:] - two[3:]).max()
    differences["shape"] = np.abs(mine["shape"] - other["shape"]).max()
    differences["hand"] = float(mine["hands"] != other["hands"])
    for name, value in differences.items():
        found[name].append((mine["key"], float(value)))
