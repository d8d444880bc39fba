"""HandOccNet's scoring, and the whole chain: annotations, reader, pack, crops, network, submission and figures."""

import tempfile
from pathlib import Path

import numpy as np
import torch

from handlib import fields, packs, protocols, training
from handlib.submissions.hands import SERVERS
from handlib.training import mano
from handlib.verify import Row, Skip, handoccnet_tree, wholebody_metrics
from handlib.verify.handoccnet_cases import network
from handlib.verify.reference import deviation

METRES, MILLIMETRES, PACKED = 1e-5, 0.02, 1e-6
BATCH = 2
_CASES = {"HO3D": "HO3D/test", "DEX_YCB": "DEX_YCB/test"}


def check_submission(ref):
    """What HandOccNet writes for HO-3D: its wrist on the true one, OpenGL axes, HO-3D's order of joints."""
    if not ref.has("evaluate.json"):
        yield Skip("HO-3D", "the folder has no evaluate.json")
        return
    stored, arrays = ref.json("evaluate.json"), ref.npz("evaluate.npz")
    order = fields.reorder(fields.HAND21, fields.HO3D21)
    yield Row("HO-3D", "order of joints", deviation(order, stored["network_index_of_each_HO3D_joint"]), 0)
    bones = sorted(sorted(bone) for bone in fields.HAND21.bones)
    yield Row("skeleton", "bones", deviation(bones, sorted(map(sorted, stored["skeleton_in_network_order"]))), 0)
    given = {name: torch.from_numpy(arrays[f"pack/HO3D/in_{theirs}"]) for name, theirs in
             (("joints", "joints"), ("verts", "verts_every_16th"))}  # fmt: skip
    root = torch.from_numpy(arrays["pack/HO3D/in_root"])
    meta = {"joints_cam": root[:, None], "flipped": torch.zeros(len(root), dtype=torch.bool)}
    found = mano.in_frame(SERVERS["ho3d_v2"].frame, mano.placed(given, meta))
    for name, theirs in (("xyz", "joints"), ("verts", "verts_every_16th")):
        yield Row("HO-3D", f"{theirs} m", deviation(found[name], arrays[f"pack/HO3D/out_{theirs}"]), PACKED)


def check_figures(ref):
    """Its DexYCB figures, and its alignment alone."""
    yield from wholebody_metrics.check_handoccnet(ref)


def check_chain(ref):
    """Every case of ``end_to_end``."""
    if not ref.has("evaluate.json"):
        yield Skip("end to end", "the folder has no evaluate.json")
        return
    stored, arrays = ref.json("evaluate.json"), ref.npz("evaluate.npz")
    with tempfile.TemporaryDirectory() as folder:
        root = handoccnet_tree.build(Path(folder), ref)
        made = {}
        for name, case in _CASES.items():
            reader = handoccnet_tree.reader(root, case, "reach")
            pack = packs.write_from(reader, Path(folder) / "packs" / name, workers=0)
            made[name] = training.predict(network(ref), pack, "gt", batch=BATCH, device="cpu")
    shapes = [list(made["HO3D"].predictions[name].shape) for name in ("xyz", "verts")]
    yield Row("HO-3D", "shapes (0 same, 1 not)", float(shapes != stored["HO3D_json"]["shapes"]), 0)
    for name, theirs in (("xyz", "joints"), ("verts", "verts")):
        off = deviation(made["HO3D"].predictions[name], arrays[f"end_to_end/HO3D/{theirs}"])
        yield Row("HO-3D", f"{theirs} m", off, METRES)
    yield from _dexycb_rows(made["DEX_YCB"], stored["end_to_end DEX_YCB"])


def _dexycb_rows(made, stored):
    found = protocols.per_sample("dexycb_handoccnet", made.predictions, made.truth)
    figures = protocols.running("dexycb_handoccnet").update(made.predictions, made.truth).figures(warn=False)
    for name in ("mpjpe", "pa_mpjpe"):
        mine = 1000 * found[f"{name}_m"].mean(1)
        yield Row("DexYCB", f"{name} mm, each sample", deviation(mine, stored[f"{name}_mm"]), MILLIMETRES)
        yield Row("DexYCB", f"{name} mm", deviation(np.float64(figures[name]), stored[f"mean_{name}_mm"]), MILLIMETRES)


CHECKS = [check_submission, check_figures, check_chain]
