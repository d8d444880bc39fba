"""The figures that Hand4Whole, Pose2Pose, OSX and HandOccNet compute themselves, on stand-in bodies and hands.

The checks take the folder of the system they belong to (``wholebody`` or ``handoccnet``), or any folder beside it.
"""

import atexit
import functools
import shutil
import tempfile

import numpy as np

from handlib import alignment, protocols
from handlib.protocols import ehf, ubody
from handlib.verify import Row, Skip, standin, standin_bodies
from handlib.verify.reference import Reference, deviation

TOLERANCE_MM = 1e-3
# entry of a metrics_*.json -> protocol, kind of mesh
ENTRIES = {
    "EHF": ("ehf", "smplx"),
    "AGORA_val": ("agora_val", "smplx"),
    "UBody": ("ubody", "smplx"),
    "Human36M": ("human36m", "smplx"),
    "PW3D_smpl": ("pw3d", "smpl"),
    "AGORA_smpl": ("agora_val_smpl", "smpl"),
}


def check_whole_body(reference):
    """metrics/metrics_*.json: every entry that has figures, per sample and as printed."""
    reference = _at_home(reference, "wholebody", "metrics")
    files = sorted(reference.folder.glob("metrics/metrics_*.json"))
    if not files:
        yield Skip("whole body", f"there is no metrics/metrics_*.json in {reference.folder}")
    for path in files:
        stored, source = reference.json(f"metrics/{path.name}"), path.stem.removeprefix("metrics_")
        for entry in stored:
            if entry in ENTRIES and "printed" in stored[entry]:
                yield from _whole_body_case(f"{source}/{entry}", entry, stored)
        if "ehf_rotation" in stored:
            off = deviation(ehf.SCAN_TO_CAMERA, stored["ehf_rotation"])
            yield Row(f"{source}/EHF", "rotation of the scan", off, 1e-9)


def _whole_body_case(case, entry, stored):
    protocol, kind = ENTRIES[entry]
    predictions, truth = whole_body_pair(entry, stored)
    options = {"bodies": bodies()} | {name: True for name in protocols.options(protocol) if name == "published"}
    errors = protocols.per_sample(protocol, predictions, truth, **options)
    sums = protocols.sums(protocol, errors)
    figures = protocols.running(protocol, **options).update(predictions, truth).figures(warn=False)
    expected = stored[entry]
    for name, value in expected["printed"].items():
        counted = sums[f"{name}_samples"] > 0
        mine = sums[f"{name}_m"][counted] * 1000
        yield Row(case, f"{name}, each sample", deviation(mine, expected["per_sample"][name]), TOLERANCE_MM)
        yield Row(case, name, deviation(figures[name], value), TOLERANCE_MM)
    extra = sorted(set(figures.index) ^ set(expected["printed"]))
    yield Row(case, "names of the figures" + "".join(f" {name}" for name in extra), float(len(extra)), 0.0)
    if entry == "UBody":
        seen = ubody.inside_picture(
            truth["verts"].astype(np.float64), truth["bb2img_trans"], truth["image_size"].astype(np.float64)
        )
        yield Row(case, "vertices inside the picture", deviation(seen.sum(1), expected["vertices_inside_image"]), 0.0)


def whole_body_pair(entry, stored):
    """(predictions, truth) of an entry, by the formula of the reference's README; float32 where the README says so."""
    _, kind = ENTRIES[entry]
    tag, rotation = stored["tag"], np.array(stored["rotation"])
    template = standin_bodies.template(kind)["v_template"]
    true, mine = [], []
    for i in range(stored["samples"]):
        noise = standin.rng(f"metric-gt:{tag}:{i}").standard_normal(template.shape)
        mesh = template + 0.02 * noise + [0.1 * i, -0.05, 20]
        noise = standin.rng(f"metric-out:{tag}:{i}").standard_normal(template.shape)
        mine.append((mesh @ rotation.T) * (1 + 0.03 * i) + [0.3, -0.2 * i, 0.5] + 0.01 * noise)
        true.append(mesh)
    true, mine = np.array(true), np.array(mine)
    if entry == "EHF":
        true, mine = true - [0, 0, 20], mine @ np.array(stored["ehf_rotation"]).T
    truth = {"verts": true.astype(np.float32)}
    if entry == "UBody":
        truth["bb2img_trans"] = np.array(stored[entry]["bb2img_trans"])
        truth["image_size"] = np.tile(stored[entry]["image_size_wh"], (len(true), 1))
    if entry == "Human36M":
        joints = standin_bodies.h36m_regressor(kind) @ truth["verts"].astype(np.float64)
        truth = {"joint_cam": joints * 1000}
    return {"verts": mine.astype(np.float32)}, truth


@functools.cache
def bodies():
    """A folder with the official index files and regressors, made of stand-ins; removed when the process ends."""
    folder = tempfile.mkdtemp(prefix="standin-bodies-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return str(standin_bodies.write_index_files(folder))


def check_handoccnet(reference):
    """evaluate.json / .npz: HandOccNet's own DexYCB figures, and its alignment alone."""
    reference = _at_home(reference, "handoccnet", "evaluate.json")
    if not reference.has("evaluate.json"):
        yield Skip("HandOccNet", f"there is no evaluate.json in {reference.folder}")
        return
    stored, arrays = reference.json("evaluate.json")["metric DEX_YCB"], reference.npz("evaluate.npz")
    joints, true = (arrays[f"metric/DEX_YCB/{name}_joints"] for name in ("pred", "gt"))
    pair = {"xyz": joints}, {"xyz": true, "hand_type": np.array(stored["hand_type"])}
    sums = protocols.sums("dexycb_handoccnet", protocols.per_sample("dexycb_handoccnet", *pair))
    figures = protocols.running("dexycb_handoccnet").update(*pair).figures(warn=False)
    for name in ("mpjpe", "pa_mpjpe"):
        off = deviation(sums[f"{name}_m"] * 1000, stored[f"{name}_mm"])
        yield Row("HandOccNet DexYCB", f"{name}, each sample", off, TOLERANCE_MM)
        yield Row("HandOccNet DexYCB", name, deviation(figures[name], stored[f"mean_{name}_mm"]), TOLERANCE_MM)
    aligned, _ = alignment.similarity(joints.astype(np.float64), true.astype(np.float64), reflection=False)
    off = deviation(aligned, arrays["metric/rigid_align_out"])
    yield Row("HandOccNet DexYCB", "alignment alone, m", off, 1e-6)


def _at_home(reference, system, name):
    """``reference`` if it has ``name``, else the folder of ``system`` beside it where there is one."""
    beside = reference.folder.parent / system
    return reference if reference.has(name) or not beside.is_dir() else Reference(beside, system)


CHECKS = [check_whole_body]
