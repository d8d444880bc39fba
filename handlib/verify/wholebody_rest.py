"""What the reference folder holds beside the compared cases: why it is not compared, and what no check knows at all."""

import fnmatch

from handlib.verify import Skip, wholebody_metrics, wholebody_submissions

_CASE = ("image", "image_shape", "weight_scale", "weight_set", "stages", "training")
_WHOLE_BODY = (*_CASE, "grad_float32_rel_noise", "training_agora_only", "training_agora_benchmark")
_RUN = ("model", "batch", "repeat_spread")  # of a case: which it is, as its name and its picture say, and how sure
# Files -> names in them that are compared; None: their own check tells what it does not know, or they hold one thing.
COMPARED = {
    "tools.json": (
        "checkpoint_layout", "tool_convert_simple_to_pose2pose", "tool_merge_hand_to_all", "tool_reset_epoch",
        "hand4whole_training", "pose2pose_training", "set_mixing", "osx_training", "osx_released_checkpoints",
    ),
    "published.json": None,
    "joints/joint_sets_*.json": None,
    "primitives/primitives_*.npz": None,
    "agora/agora_conversion.json": None,
    "metrics/metrics_*.json": (
        "tag", "samples", "rotation", "ehf_rotation", *wholebody_metrics.ENTRIES, *wholebody_submissions.ENTRIES,
    ),
    "datasets/*/samples.json": ("augmentations", "sets"),
    "datasets/*/input_files.json": None,
    "datasets/*/input_images.npz": None,
    "hand4whole/case_*.json": (*_WHOLE_BODY, *_RUN),
    "osx/case_*.json": (*_WHOLE_BODY, *_RUN),
    "pose2pose/case_*.json": (*_CASE, "grad_float32_rel_noise", *_RUN),
    "hand4whole/keys_hand4whole.json": ("keys", "model", "note"),
    "pose2pose/keys_pose2pose_*.json": ("keys", "model", "note"),
    "osx/keys_*.json": ("keys", "model", "note"),
    "osx/unused_*.json": ("parameters_never_reached_by_the_loss", "count", "numbers"),
}  # fmt: skip
# Place in the folder -> why nothing is compared there.
SAID = {
    "README.md": "words, which the checks follow",
    "formats.md": "words, which the readers follow",
    "*/case_*.json: model, batch, repeat_spread": "which case it is, and that the published run repeats to the bit",
    "datasets/*/*.npz: …/img_opencv5": "the published warp is OpenCV 4's; OpenCV 5 has another, and is not installed",
    "datasets/p2p/samples.json: augmentations/…/flip": "a hand is mirrored where it is a left one, whatever is drawn",
    "metrics/metrics_osx.json: UBody/cam_trans": "is in the true meshes, which are made with it",
    "tools.json: osx_training/optimizer": "two groups of one rate are one group",
    "tools.json: osx_training/snapshots": "checkpoints are kept as the user asks, in a layout of our own",
    "tools.json: osx_training/…/test_batch_size": "no figure depends on it",
    "tools.json: hand4whole_training/backbone_init": "torchvision's files are the user's; see networks.load_backbone",
}


def uncompared(ref):
    """A `Skip` for each; then one for every file, array and entry that no check knows."""
    for place, reason in SAID.items():
        if any(True for _ in ref.folder.glob(place.partition(":")[0])):
            yield Skip(place, reason)
    for path in sorted(ref.folder.rglob("*")):
        if path.is_file():
            yield from _unknown(ref, path.relative_to(ref.folder).as_posix())


def _unknown(ref, name):
    kinds = [kind for kind in COMPARED if fnmatch.fnmatch(name, kind)]
    if kinds:
        known = COMPARED[kinds[0]]
        for entry in ref.json(name) if known is not None else ():
            if entry not in known:
                yield Skip(f"{name}: {entry}", "no check knows this entry")
        if name.endswith(".json") and "/case_" in name and not ref.has(name.replace(".json", ".npz")):
            yield Skip(name, "has no .npz of its stages")
    elif "/case_" in name and ref.has(name.replace(".npz", ".json")):
        stages = ref.json(name.replace(".npz", ".json"))["stages"]
        for array in sorted(ref.npz(name).keys() - stages.keys()):
            yield Skip(f"{name}: {array}", "its .json tells no such stage")
    elif not _belongs(ref, name):
        yield Skip(name, "no check knows this file")


def _belongs(ref, name):
    """Whether a file is told by another: targets by a case of that name or picture, crops by a data set's samples."""
    folder, _, file = name.rpartition("/")
    stem = file.removesuffix(".npz")
    if name in SAID:
        return True
    if stem.startswith("targets_"):
        cases = [path.stem for path in (ref.folder / folder).glob("case_*.json")]
        return any(case.endswith(f"_{stem.removeprefix('targets_')}") for case in cases)
    samples = f"{folder}/samples.json"
    return folder.startswith("datasets/") and ref.has(samples) and stem in ref.json(samples)["sets"]


CHECKS = [uncompared]
