"""A network's answers measured, in the same words for every benchmark: so the same cells look at all of them.

    made = evaluation.with_mesh(training.predict(net, pack), pack, layer)   # fitted, where a network gives joints alone
    seen = evaluation.measured(made, pack)
    seen.figures, seen.joints_mm, seen.frames(), seen.in_crops(items, rows), …

The pack decides the benchmark. To add one: a class that derives from `Measured`, named in ``_MEASURED``.
"""

from handlib.evaluation.finding import (
    IKNET,
    PEOPLE,
    SPLITS,
    TRAINED_BY,
    checkpoint,
    hidden_pack,
    iknet,
    known_pack,
    protocol_names,
    refuse_hidden,
    same_body,
    training_pack,
    truth_known,
)
from handlib.evaluation.interhand import InterHand
from handlib.evaluation.mano import HO3D, DexYCB, FreiHand
from handlib.evaluation.measured import Measured, as_printed
from handlib.evaluation.meshes import mesh_errors, ways_to_a_mesh, with_mesh
from handlib.evaluation.oakink import SP, OakInk
from handlib.evaluation.people import Body, WholeBody
from handlib.evaluation.submitting import require_server, submission, to_submit

__all__ = [
    "IKNET",
    "SP",
    "SPLITS",
    "TRAINED_BY",
    "Measured",
    "as_printed",
    "checkpoint",
    "hidden_pack",
    "iknet",
    "known_pack",
    "measured",
    "mesh_errors",
    "protocol_names",
    "refuse_hidden",
    "require_server",
    "same_body",
    "submission",
    "to_submit",
    "training_pack",
    "truth_known",
    "ways_to_a_mesh",
    "with_mesh",
]
_MEASURED = {"interhand": InterHand, "oakink": OakInk, "ho3d": HO3D, "dexycb": DexYCB, "freihand": FreiHand,
             "pw3d": Body} | dict.fromkeys(PEOPLE, WholeBody)  # fmt: skip


def measured(made, pack):
    """`Measured` predictions of a pack, by the pack's own benchmark."""
    return _MEASURED[pack.manifest["dataset"]](made, pack)
