"""HandOccNet's translation fitting: its objective, where its optimiser ends, and where the default ends instead."""

import numpy as np
import torch

from handlib import crops, geometry
from handlib.fitting import translation
from handlib.predict import Predictor
from handlib.verify import Row, Skip, handoccnet_cases, handoccnet_tree
from handlib.verify.reference import deviation

FILE = "fitting.json"
EXACT = 1e-6  # relative: float64 probes
END = 1e-4  # relative, of the objective: L1 and a line search in float32
FIRST = 4  # evaluations before rounding tells
DEMO_BOX = 1.25
BOX, METRE, PIXEL, POSE = 1e-4, 5e-6, 2e-5 * 256, 1e-4
BETTER = 0.02  # relative: how far the default, which minimises another loss, may stay above the published end's L1


def _cases(ref):
    """(name, facts, float64 joints, pixels, centre) of each case."""
    facts = ref.json(FILE)
    focal = facts["camera"]["focal"][0]
    for name, case in facts["cases"].items():
        arrays = (case[key] for key in ("joints_cam_m", "joints_img_px", "principal_point"))
        yield name, case, focal, *(torch.tensor(array, dtype=torch.float64) for array in arrays)


def _lacking(ref):
    return not ref.has(FILE)


def objective(ref):
    """Both terms and the gradient at the stored translations, in float64."""
    if _lacking(ref):
        yield Skip("fitting", f"the folder has no {FILE}")
        return
    for name, case, focal, joints, pixels, centre in _cases(ref):
        for number, probe in enumerate(case["objective_probes_float64"]):
            place = torch.tensor(probe["translation"], dtype=torch.float64, requires_grad=True)
            terms = translation.published_terms(joints, pixels, place, centre, case["init_depth"], focal)
            (slope,) = torch.autograd.grad(sum(terms), place)
            for term, key in zip((*terms, sum(terms)), ("joint_term", "depth_term", "objective"), strict=True):
                off = abs(term.item() - probe[key]) / max(abs(probe[key]), 1.0)
                yield Row(name, f"probe {number} {key}, relative", off, EXACT)
            expected = torch.tensor(probe["gradient_seen_by_optimiser"], dtype=torch.float64)
            off = float((slope - expected).abs().max() / expected.abs().max())
            yield Row(name, f"probe {number} gradient, relative", off, EXACT)


def optimiser(ref):
    """The published run in float32: its first values, its end through the objective, the loss that it reports."""
    if _lacking(ref):
        return
    for name, case, focal, joints, pixels, centre in _cases(ref):
        settings = {"centre": case["principal_point"], "depth": case["init_depth"], "focal": focal}
        found = translation.published_translation(joints.float(), pixels.float(), **settings)
        values = zip(found.values, case["first_objective_values"][:FIRST], strict=False)
        yield Row(name, f"first {FIRST} values, relative", max(abs(a / b - 1) for a, b in values), 1e-5)
        yield Row(name, "reported loss, relative", abs(found.loss / case["returned_loss"] - 1), END)
        ends = (found.transl.double(), torch.tensor(case["final_translation"], dtype=torch.float64))
        ours, theirs = (
            sum(translation.published_terms(joints, pixels, end, centre, case["init_depth"], focal)) for end in ends
        )
        yield Row(name, "objective at the end, relative", abs(ours / theirs - 1).item(), END)


def default(ref):
    """The batched default, all cases at once: not above the published end by its own measure, the sum of pixels off."""
    if _lacking(ref):
        return
    names, cases, focals, joints, pixels, centres = zip(*_cases(ref), strict=True)
    K = torch.stack([
        torch.from_numpy(geometry.intrinsics((focal, focal), centre.tolist()))
        for focal, centre in zip(focals, centres, strict=True)
    ])  # fmt: skip
    found, _ = translation.translation(torch.stack(joints), torch.stack(pixels), K)
    for row, (name, case) in enumerate(zip(names, cases, strict=True)):
        ends = found[row], torch.tensor(case["final_translation"], dtype=torch.float64)
        ours, theirs = (
            translation.published_terms(joints[row], pixels[row], end, centres[row], focal=focals[row])[0].item()
            for end in ends
        )
        yield Row(name, "default: pixels off above theirs", max(0.0, ours - theirs) / max(theirs, 1.0), BETTER)


def _whole_pixels(box, size):
    """The demo's square of a box, and a box (x, y, w, h) of which any crop of `DEMO_BOX` shows it. The demo's box is an
    array of whole numbers and stays one: the square's side is cut to whole pixels.
    """
    inside = geometry.inside_square(box, *size)
    middle, side = inside[:2] + inside[2:] / 2, int(inside[2] * DEMO_BOX)
    given = side / DEMO_BOX  # what is kept of a box is a pixel less
    return [*np.trunc(middle - side / 2), side, side], [*(middle - given / 2), given + 1, given + 1]


def demo(ref):
    """The demo's own path through the Predictor: picture and box to crop, network, pixels, and the published fit."""
    cases = (
        {name: case for name, case in ref.json(FILE)["cases"].items() if "picture_k" in case} if ref.has(FILE) else {}
    )
    for name, case in cases.items():
        size = case["picture_size_wh"]
        square, box = _whole_pixels(case["bbox_xywh_given"], size)
        picture = handoccnet_tree.formula(case["picture_k"], size)
        net = handoccnet_cases.network(ref, case["gains"])
        yield Row(name, "box px", deviation(square, case["bbox_processed"]), BOX)
        back = crops.box_crop(picture, box, "right", net.input, DEMO_BOX)[2]
        yield Row(name, "crop to picture", deviation(back, case["crop_to_picture_matrix"]), BOX)
        made = Predictor(net, "cpu", focal="published", box_scale=DEMO_BOX)(picture, [box], "right")
        yield Row(name, "principal point px", deviation(made.K[:2, 2], case["principal_point"]), EXACT)
        joints = made.joints_cam[0] - made.transl[0]
        yield Row(name, "joints m", deviation(joints, case["joints_cam_m"]), METRE)
        yield Row(name, "joints px", deviation(made.joints_img[0], case["joints_img_px"]), PIXEL)
        saved = case["saved_by_demo"]
        yield Row(name, "mano_pose rad", handoccnet_cases.from_turns(made.pose_from_mean[0], saved["mano_pose"]), POSE)
        yield Row(name, "mano_shape", deviation(made.shape[0], saved["mano_shape"]), POSE)
        found = translation.published_translation(joints, made.joints_img[0], size=size, depth=case["init_depth"])
        yield Row(name, "from the picture: reported loss", abs(found.loss / case["returned_loss"] - 1), END)


CHECKS = [objective, optimiser, default, demo]
