"""Published figures: what the sources print, under the names and in the units of the official evaluators.

``handlib/published.json`` keeps every figure as its source prints it, with the source. Per protocol its ``quoted`` says
which official figure that is and by what to divide it: FreiHAND's papers print ``pa_mpjpe_mm``, its evaluator
``xyz_al_mean3d`` in cm, a tenth of it. A protocol without ``quoted`` is kept under the official names; a
row's own ``alignment`` says where it is not the evaluator's.
"""

import functools
from pathlib import Path

import pandas

from handlib import protocols
from handlib.files import InputError, read_json

FACTS = ["method", "split", "data", "protocol", "alignment", "root_depth", "checkpoint", "receipt", "source", "note"]
UNSTATED = "not stated"
_FREIHAND = ["mesh_al_mean3d", "xyz_al_auc3d", "mesh_al_auc3d", "f_al_score_5", "f_al_score_15"]
_HO3D = ["xyz_procrustes_al_mean3d", "mesh_al_mean3d", "xyz_procrustes_al_auc3d", "mesh_al_auc3d"]
_HO3D += ["xyz_scale_trans_al_mean3d", "f_al_score_5", "f_al_score_15"]
_OAKINK = ["MeanEPE.joints_3d_mepe", "Hand3DPCK.auc_all", "MeanEPE2.verts_3d_mepe"]
_WHOLE_BODY = [f"{figure}_{part}" for figure in ("pa_mpvpe", "mpvpe") for part in ("all", "hand", "face")]
_AGORA = ["f1", "fullbody-NMVE", "body-NMVE", "fullbody-NMJE", "body-NMJE", "fullbody-MVE", "body-MVE", "face-MVE"]
_AGORA += ["lhand-MVE", "rhand-MVE", "fullbody-MPJPE", "body-MPJPE", "face-MPJPE", "lhand-MPJPE", "rhand-MPJPE"]
SUMMARY = {
    "interhand": ["mpjpe_all", "mpjpe_sh", "mpjpe_ih", "mrrpe", "handness_acc"],
    "freihand": ["xyz_al_mean3d", *_FREIHAND],
    "ho3d_v2": _HO3D,
    "ho3d_v3": _HO3D,
    "dexycb_handoccnet": ["mpjpe", "pa_mpjpe"],
    "dexycb": [f"{kind}_{name}" for kind in ("absolute", "root-relative", "procrustes") for name in ("mpjpe", "auc")],
    "oakink": [*_OAKINK, "PAEval.pa_mpjpe", "PAEval.pa_mpvpe"],
    "agora_smplx": _AGORA,
    "agora_smpl": ["f1", "body-NMVE", "body-NMJE", "body-MVE", "body-MPJPE"],
    "agora_val": _WHOLE_BODY,
    "agora_val_smpl": ["pa_mpvpe", "mpvpe"],
    "ehf": [*_WHOLE_BODY, "pa_mpjpe_body", "pa_mpjpe_hand"],
    "ubody": [*_WHOLE_BODY, "pa_mpjpe_body", "pa_mpjpe_hand"],
    "pw3d": ["mpjpe", "pa_mpjpe", "mpvpe", "pa_mpvpe"],
    "human36m": ["mpjpe", "pa_mpjpe"],
}  # the figures of a protocol that a table of methods shows; all others stay in the receipt


def published(protocol):
    """The published figures of a protocol -> DataFrame, a row per method and split.

    Columns: `FACTS`, then every figure as ``<official name>_<unit>`` (ratios by their name alone). A fact that the
    source does not state reads "not stated"; figures that it does not give are NaN. Raises InputError when no figures
    of the protocol are known.
    """
    known = shipped()
    if protocol not in known:
        raise InputError("published.json", f"holds no figures of '{protocol}'", f"name one of: {', '.join(known)}")
    alignment = protocols.running(protocol).module.ALIGNMENT
    shared = {"protocol": protocol, "alignment": alignment, "receipt": "published"}
    quoted = known[protocol].get("quoted")
    return frame([(shared | row, official(row["figures"], quoted)) for row in known[protocol]["rows"]])


def against(protocol):
    """The published method that a protocol's results are compared with by default."""
    return shipped()[protocol]["against"]


@functools.cache
def shipped():
    """The shipped file's content by protocol."""
    return read_json(Path(__file__).parents[1] / "published.json", mend="install handlib again")


def official(printed, quoted=None):
    """Figures as a source prints them -> by their official names, in the official units."""
    if quoted is None:
        return printed
    pairs = [(*quoted[name], value) for name, value in printed.items()]
    return {name: None if value is None else value / divide_by for name, divide_by, value in pairs}


def column(protocol, figure):
    """A figure's name with its unit."""
    unit = protocols.unit(protocol, figure)
    return figure if not unit or figure.endswith(f"_{unit}") else f"{figure}_{unit}"


def frame(pairs):
    """[(facts, figures by official name)] -> DataFrame: `FACTS`, then the figures with their units."""
    return pandas.DataFrame(
        {name: str(row[name]) if row.get(name) else UNSTATED for name in FACTS}
        | {
            column(row["protocol"].partition(",")[0], name): float("nan") if value is None else float(value)
            for name, value in dict(figures).items()
        }
        for row, figures in pairs
    )
