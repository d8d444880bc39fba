"""The benchmarks' own evaluators: their figures on given predictions."""

from handlib import protocols
from handlib.verify import Row, Skip
from handlib.verify.reference import deviation

TOLERANCE_MM = 1e-3  # the official means are taken in float32
INPUTS = ("joint_coord", "rel_root_depth", "pred_hand_type", "inv_trans")


def check_interhand(reference):
    """interhand.json / .npz: every case that has figures."""
    if not reference.has("interhand.json"):
        yield Skip("interhand", f"there is no interhand.json in {reference.folder}")
        return
    cases, arrays = reference.json("interhand.json"), reference.npz("interhand.npz")
    joints = cases["joint_names"]
    for case, entry in cases.items():
        if "figures" not in entry:
            continue
        truth = of_case(arrays, case)
        figures = protocols.evaluate("interhand", {name: truth.pop(name) for name in INPUTS}, truth)
        expected = {}
        for name, value in entry["figures"].items():
            if name.startswith("per_joint_"):
                group = name.removeprefix("per_joint_")
                expected |= {f"{joint}_{group}": mean for joint, mean in zip(joints, value, strict=True)}
            else:
                expected[name] = value
        yield from compare(f"interhand/{case}", figures, expected)


def of_case(arrays, case):
    """The arrays called ``case/name``, by name."""
    return {name.removeprefix(f"{case}/"): array for name, array in arrays.items() if name.startswith(f"{case}/")}


def compare(case, figures, expected, tolerance_mm=TOLERANCE_MM):
    """A Row per summary figure and one per group of joints (the largest deviation). Accuracies must be equal.

    figures: what `protocols.evaluate` returns; expected: name -> official figure, joints as ``<joint>_<group>``.
    """
    joints = {group: [] for group in ("all", "sh", "ih")}
    for name, value in expected.items():
        group = name.rpartition("_")[2]
        if group in joints and not name.startswith("mpjpe"):
            joints[group].append(name)
        else:
            accuracy = name in ("handness_acc", "handedness_accuracy")
            yield Row(case, name, deviation(figures[name], value), 0.0 if accuracy else tolerance_mm)
    for group, names in joints.items():
        if names:
            worst = deviation(figures[names], [expected[name] for name in names])
            yield Row(case, f"{len(names)} joints, {group}", worst, tolerance_mm)


CHECKS = [check_interhand]
