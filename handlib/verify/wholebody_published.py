"""The result tables of Hand4Whole's and OSX's repositories beside the rows of our own, in our names and units.

A figure that one of the published images leaves out may stand in the other.
"""

import math
import re

from handlib import recipes, tables
from handlib.verify import Row, Skip, wholebody_training

FILE = "published.json"
RELATIVE = 1e-12
_PARTS = {"FB": "fullbody", "B": "body", "F": "face", "LH": "lhand", "RH": "rhand"}
_FREIHAND = {  # column -> ours, and by what it is to be divided
    "PA_MPVPE": ("mesh_al_mean3d_cm", 10), "PA_MPJPE": ("xyz_al_mean3d_cm", 10), "F@5mm": ("f_al_score_5", 1),
    "F@15mm": ("f_al_score_15", 1),
}  # fmt: skip
_METHODS = {  # by section, those that have another name in ours
    "freihand": {
        "FreiHAND": "FreiHAND baseline", "METRO": "METRO (as quoted there)",
        "Hand4Whole": "Hand4Whole (hand-only Pose2Pose)",
        "Hand4Whole (ResNet-18)": "Hand4Whole, ResNet-18 hand (hand-only Pose2Pose)",
    }
}  # fmt: skip


def _agora(column):
    figure, part = column.split("_")
    return f"{_PARTS[part]}-{figure}_mm", 1


def _whole_body(column):
    return column.lower().replace("hands", "hand") + "_mm", 1


SECTIONS = {  # section -> our protocol, and (our column, divisor) of a published column
    "agora_test_smplx": ("agora_smplx", _agora), "agora_test_smpl": ("agora_smpl", lambda name: (f"body-{name}_mm", 1)),
    "agora_val_smplx": ("agora_val", _whole_body), "ehf": ("ehf", _whole_body), "3dpw_body": ("pw3d", _whole_body),
    "freihand": ("freihand", _FREIHAND.get),
}  # fmt: skip


def figures(ref):
    """Every row of every section's table."""
    if not ref.has(FILE):
        yield Skip("published", f"there is no {FILE}")
        return
    stored = ref.json(FILE)
    for section in stored:
        if section in SECTIONS:
            yield from _section(section, stored[section])
        elif section != "from_issue_threads":
            yield Skip(section, "no check knows these figures")


def _section(section, facts):
    protocol, named = SECTIONS[section]
    printed = {}  # {our method: {column: what the images have}}
    for part in (part for part in facts.values() if isinstance(part, dict)):
        for method, values in part.items():
            method = method.removesuffix(" (marked with a cross)")
            row = printed.setdefault(_METHODS.get(section, {}).get(method, method), {})
            for column, value in zip(facts["columns"], values, strict=True):
                row.setdefault(named(column), []).append(value)
    yield from _rows(section, protocol, printed)


def _rows(case, protocol, printed):
    """printed: {our method: {(our column, divisor): [value or None of each source]}}"""
    table = tables.published(protocol).groupby("method")
    for method, columns in printed.items():
        off = math.inf
        if method in table.groups and len(table.get_group(method)) == 1:
            (ours,) = table.get_group(method).to_dict("records")
            off = max(_off(ours[column], values, divisor) for (column, divisor), values in columns.items())
        yield Row(case, f"{method}: {len(columns)} figures, relative", off, RELATIVE)


def _off(ours, values, divisor):
    known = [value / divisor for value in values if value is not None]
    if not known:
        return 0.0 if math.isnan(ours) else math.inf
    return max(math.inf if math.isnan(ours) else abs(ours - value) / abs(value or 1) for value in known)


def threads(ref):
    """What the authors said in their repositories' issues."""
    said = ref.json(FILE).get("from_issue_threads", {}) if ref.has(FILE) else {}
    for name, facts in said.items():
        if name == "hand4whole_first_stage_on_ehf":
            columns = {_whole_body(column): [value] for column, value in facts.items() if column != "source"}
            yield from _rows(name, "ehf", {"Hand4Whole, first stage": columns})
        elif name == "osx_batch":
            batch = int(re.search(r"so (\d+)", facts["text"])[1])
            yield Row(name, "batch of osx_setting1", float(abs(recipes.read("osx_setting1").batch - batch)), 0)
        elif name == "hand_only_pose2pose_sets":
            yield wholebody_training.sets("pose2pose_hand", facts["trainset_3d"], facts["trainset_2d"])
        elif name == "osx_released_checkpoints":
            yield Skip(name, "says what the files were trained on, on which nothing here depends")
        else:
            yield Skip(name, "no check knows what is said there")


CHECKS = [figures, threads]
