"""The whole chain of OakInk's benchmark: its files -> reader -> pack -> crops -> network -> fit -> figures.

The networks and IKNet have stand-in weights, the fit the hand-shaped stand-in hand. Joints (and the mesh of
I2L-MeshNet) come from the network and have its tolerance; meshes that were fitted, and figures, 0.1 mm.
"""

import tempfile
from pathlib import Path

from handlib import datasets, fitting, packs, protocols, training
from handlib.files import read_json
from handlib.verify import Row, Skip, oakink_tree
from handlib.verify.oakink_cases import cases, network
from handlib.verify.oakink_fit import STORED, hand_shaped
from handlib.verify.oakink_metrics import figure_rows
from handlib.verify.oakink_network import METRE
from handlib.verify.reference import deviation

FILE, SPLIT = "end_to_end", "test"
MILLIMETRES, RATIO = 0.1, 1e-6
FITTED = ("IntegralPose", "RegressFlow3D")  # networks without a mesh of their own


def check_chain(ref):
    """Every case: the samples and their order, joints, mesh, figures, table."""
    if not ref.has(f"{FILE}.json"):
        yield Skip(FILE, f"the folder has no {FILE}.json")
        return
    with tempfile.TemporaryDirectory() as folder:
        root = oakink_tree.build(Path(folder) / "OakInk", ref)
        pack = packs.write_from(datasets.read("oakink", root, SPLIT), Path(folder) / "pack", workers=0)
        listed = read_json(root / "image/anno/split/split0/seq_test.json")
        for case in cases(ref, FILE, file=FILE):
            differ = case.facts["samples"] != listed or len(pack) != len(listed)
            model = case.name.rpartition("/")[2]
            yield Row(model, "samples (0 same, 1 not)", float(differ), 0)
            yield from _case_rows(ref, case, model, pack)


def _case_rows(ref, case, model, pack):
    net = network(ref, model, case.facts["weight_scales"])
    made = training.predict(net, pack, "gt", batch=case.facts["batch_size"], device="cpu")
    joints, meshes = made.predictions["joints_3d"], made.predictions.get("verts_3d")
    yield Row(model, "true joints m", deviation(made.truth["joints_3d"], case.array("target_joints_3d")), METRE)
    yield Row(model, "joints m", deviation(joints, case.array("joints_3d")), METRE)
    if model in FITTED:
        iknet, batch = network(ref, "IKNet"), case.facts["batch_size"]
        found = fitting.fit(joints, hand_shaped(ref), published=True, iknet=iknet, batch=batch)
        made.predictions["verts_3d"] = meshes = found.verts.numpy()
    off, allowed = deviation(meshes[:, STORED], case.array("verts_3d")), METRE
    if model in FITTED:
        off, allowed = 1000 * off, MILLIMETRES
    yield Row(model, f"mesh {'mm' if model in FITTED else 'm'}", off, allowed)
    figures = protocols.running("oakink").update(made.predictions, made.truth).figures(warn=False)
    yield from figure_rows(model, figures, case.facts, MILLIMETRES, RATIO)


CHECKS = [check_chain]
