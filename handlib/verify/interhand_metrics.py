"""InterHand2.6M's figures as DIGIT's and InterNet's evaluators print them, per-sample errors, segmentation IoU."""

import numpy as np

from handlib import geometry, protocols
from handlib.metrics import segmentation_iou
from handlib.protocols import interhand
from handlib.verify import Row, Skip, metrics
from handlib.verify.reference import Reference, deviation

TRUTH = {"cam_coord": "gt_joint_cam", "valid": "gt_joint_valid", "abs_depth": "gt_abs_depth", "focal": "focal"}
TRUTH |= {"princpt": "princpt", "hand_type_valid": "hand_type_valid"}
PREDICTED = ("joint_coord", "rel_root_depth", "hand_type", "inv_trans")
PRINTED = {"all": "MPJPE for all hand sequences", "sh": "MPJPE for single hand sequences"}
PRINTED |= {"ih": "MPJPE for interacting hand sequences"}


def _stored(reference):
    """metrics.json and metrics.npz; empty where the folder has no such cases."""
    if not reference.has("metrics.json"):
        return {}, {}
    return reference.json("metrics.json"), reference.npz("metrics.npz")


def cases(reference):
    """(name, JSON entry, arrays, predictions, truth in the predictions' order) of every case that has metrics."""
    entries, arrays = _stored(reference)
    for case, entry in entries.items():
        if not isinstance(entry, dict) or "metrics" not in entry:
            continue
        own = metrics.of_case(arrays, case)
        order = own["pred_idx"]
        predictions = {name: own[f"pred_{name}"] for name in PREDICTED}
        truth = {name: own[stored][order] for name, stored in TRUTH.items()}
        truth["hand_type"] = np.array(entry["hand_type"])[order]
        yield case, entry, own, predictions, truth


def check_figures(reference):
    """DIGIT's results dictionary, and the benchmark's own evaluator, which prints MPJPE to two decimals."""
    if not reference.has("metrics.json"):
        yield Skip("metrics", f"there is no metrics.json in {reference.folder}")
    for case, entry, _, predictions, truth in cases(reference):
        figures = protocols.evaluate("interhand", predictions, truth)
        yield from metrics.compare(case, figures, entry["metrics"])
        printed = entry.get("interhand_evaluator_first_call")
        if printed:
            again = protocols.evaluate("interhand", predictions, truth)  # the published second call differs
            expected = {"handedness_accuracy": printed["Handedness accuracy"], "mrrpe": printed["MRRPE"]}
            yield from metrics.compare(f"{case}, benchmark's evaluator", again, expected)
            for group, name in PRINTED.items():
                rounding = 0.005 + metrics.TOLERANCE_MM
                off = deviation(again[f"mpjpe_{group}"], printed[name])
                yield Row(f"{case}, benchmark's evaluator", f"mpjpe_{group} as printed", off, rounding)


def check_samples(reference):
    """Errors of every sample, and the joints that they come from."""
    for case, _, stored, predictions, truth in cases(reference):
        errors = protocols.per_sample("interhand", predictions, truth)
        for name in ("error_mm", "mrrpe_mm"):
            yield Row(case, name, deviation(errors[name], stored[name]), metrics.TOLERANCE_MM)
        joints = interhand.camera_joints(predictions, truth)
        yield Row(case, "pred_joint_cam", deviation(joints, stored["pred_joint_cam"]), metrics.TOLERANCE_MM)
        pixels, _ = geometry.decode_25d(predictions["joint_coord"].astype(np.float64))
        pixels = geometry.apply_affine(pixels, predictions["inv_trans"].astype(np.float64))
        yield Row(case, "pred_joint_2d", deviation(pixels, stored["pred_joint_2d"]), 1e-3)


def check_segmentation(reference):
    """Mean IoU over classes; ``tol`` decides which classes count."""
    entries, arrays = _stored(reference)
    for entry in entries.get("segm_iou", []):
        case = entry["case"]
        maps = (arrays[f"iou/{name}_{case}"] for name in ("pred", "target"))
        iou = segmentation_iou(*maps, entry["n_classes"], entry["tol"], entry["background_cls"])
        yield Row(f"iou/{case}", f"segmentation IoU, tol {entry['tol']}", deviation(iou, entry["iou"]), 1e-9)


def check_benchmark(reference):
    """The benchmark's evaluator on more samples: the folder ``metrics`` beside this one, where there is one."""
    folder = reference.folder.parent / "metrics"
    if folder.is_dir():
        yield from metrics.check_interhand(Reference(folder, "metrics"))


CHECKS = [check_figures, check_samples, check_segmentation, check_benchmark]
