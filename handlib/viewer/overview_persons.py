"""What a pack of whole people holds, in one table and one figure; `handlib.viewer.overview` calls it."""

import numpy as np
import pandas as pd

from handlib.body_joints import PARTS137
from handlib.viewer import figures, palette

PARTS = ("body", "lhand", "rhand", "face")
WORDS = {"body": "body", "lhand": "left hand", "rhand": "right hand", "face": "face"}
_SEEN = {0: "no hand", 1: "one hand", 2: "both hands"}


def facts(pack, rows):
    """A row per sample of ``rows`` -> DataFrame: the index's columns, and what follows.

    seen: of which hands, and whether of the face, there are boxes; joints_…: share of a part's joints that are
    annotated, or known by the fit where a data set's joints are the fit's; fit_…: whether there is a fit of it; px_…:
    longer side of its box, NaN where there is none.
    """
    names = ("person_joints_valid", "joints_of_fit", "smplx_joints_valid", "smplx_valid", "part_bbox_valid", "bbox")
    read = {name: np.asarray(pack.array(name)[rows]) for name in (*names, "lhand_bbox", "rhand_bbox", "face_bbox")}
    joints = np.where(read["joints_of_fit"][:, None], read["smplx_joints_valid"], read["person_joints_valid"])
    there = read["part_bbox_valid"]
    seen = [_SEEN[int(hands)] + (", face" if face else "") for hands, face in zip(there[:, :2].sum(1), there[:, 2],
                                                                                 strict=True)]  # fmt: skip
    table = pack.index.iloc[rows].reset_index(drop=True).assign(seen=seen)
    table["mesh"] = read["smplx_valid"][:, 0] | ("smplx_verts" in pack.manifest["arrays"])
    for number, part in enumerate(PARTS):
        table[f"joints_{part}"] = joints[:, PARTS137[part]].mean(1)
        table[f"fit_{part}"] = read["smplx_valid"][:, number]
        longer = read["bbox" if part == "body" else f"{part}_bbox"][:, 2:].max(1)
        table[f"px_{part}"] = longer if part == "body" else np.where(there[:, number - 1], longer, np.nan)
    return table


def kinds(pack):
    """What tells samples apart: the scene they are of where the data set has scenes, else what is seen of a person."""
    return "scene" if "scene" in pack.index else "seen"


def summary(pack, table):
    """A row per kind -> DataFrame: persons, their pictures, shares of joints annotated and of parts with a fit, and
    medians of the boxes' longer sides. table: `facts`.
    """
    name = kinds(pack)
    groups = table.groupby(name, sort=False)
    made = {"persons": groups.size(), "pictures": groups["image_id"].nunique()}
    if "sequence" in table:
        made["videos"] = groups["sequence"].nunique()
    made["joints_annotated"] = groups[[f"joints_{part}" for part in PARTS]].mean().mean(axis=1)
    made["meshes"] = groups["mesh"].mean()
    made |= {f"fits_{part}": groups[f"fit_{part}"].mean() for part in PARTS}
    made |= {f"{part}_px": groups[f"px_{part}"].median() for part in PARTS}
    return pd.DataFrame(made).rename_axis(name)


def crossed(pack, table):
    """How many persons by what is seen of them, and by video or how many are in the picture."""
    if "sequence" in table:
        return table.groupby(["scene", "sequence", "seen"]).size().unstack(fill_value=0).head(20)
    count = table.groupby("image_id")["image_id"].transform("size").rename("persons in the picture")
    return table.groupby([count, "seen"]).size().unstack(fill_value=0)


def figure(pack, table):
    """Persons of each kind, persons in a picture, joints annotated and fits by part, sizes: matplotlib."""
    name = kinds(pack)
    result, ((bars, crowd), (joints, sizes)) = figures.sheet(9, 5.4, 2, 2)
    counts, colours = table[name].value_counts(), [palette.BODY[part] for part in PARTS]
    bars.barh(counts.index[::-1], counts[::-1], color=palette.FAINT)
    figures.tidy(bars, f"persons by {'what is seen of them' if name == 'seen' else name}")
    together = table.groupby("image_id").size().value_counts().sort_index()
    crowd.bar(together.index.astype(str), together, color=palette.FAINT)
    figures.tidy(crowd, "persons of this pack in a picture", "persons", "pictures")
    for shift, what, shade in ((-0.2, "joints", 0.0), (0.2, "fit", 0.5)):
        share = [100 * table[f"{what}_{part}"].mean() for part in PARTS]
        joints.bar(np.arange(4) + shift, share, 0.38, color=[palette.mix(one, "#FFFFFF", shade) for one in colours])
    joints.set_xticks(range(4), WORDS.values())
    joints.set_ylim(0, 100)
    figures.tidy(joints, "joints annotated (strong), fits (pale)", ylabel="%")
    known = {part: table[f"px_{part}"].dropna() for part in PARTS}
    known = {part: values for part, values in known.items() if len(values)}
    sizes.hist([np.log10(values) for values in known.values()], bins=20, histtype="stepfilled", alpha=0.6,
               color=[palette.BODY[part] for part in known], label=[WORDS[part] for part in known])  # fmt: skip
    sizes.xaxis.set_major_formatter(lambda value, place: f"{10**value:.0f}")
    sizes.legend(fontsize=7, frameon=False)
    figures.tidy(sizes, "longer side of the boxes", "px", "persons")
    return result
