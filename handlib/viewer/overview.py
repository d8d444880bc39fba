"""What a pack holds, in tables and one figure; of whole people by `handlib.viewer.overview_persons`."""

import numpy as np
import pandas as pd

from handlib import viewer
from handlib.fields import HAND21
from handlib.viewer import figures, overview_persons, palette

MOST = 50_000  # samples whose arrays are looked at; a larger pack is sampled evenly, and the figure says so
BY_HANDS = {"right": palette.SIDE["right"], "left": palette.SIDE["left"], "interacting": palette.INK}
COUNTED = ("capture", "sequence", "subject", "object", "camera")  # columns of an index, of which the table counts


def kinds(pack):
    """The index column that tells hands' frames apart: what is done with an object where that is known, else which
    hands.
    """
    return "intent" if "intent" in pack.index else "hands"


def facts(pack, most=MOST):
    """A row per sample (evenly sampled beyond ``most``) -> DataFrame: hands, camera, capture, …, and what follows (of
    whole people: see `overview_persons.facts`).

    annotated: share of the joints of the hands in view that are annotated in the picture; fitted: whether all of those
    hands have a MANO fit; distance_m: of the nearest wrist in view from the camera; box_px: longer side of the box.
    """
    count = len(pack)
    rows = np.arange(count) if count <= most else np.linspace(0, count - 1, most).astype(int)
    if _whole(pack):
        return overview_persons.facts(pack, rows)
    read = {name: np.asarray(pack.array(name)[rows]) for name in ("hand_type", "joints_valid", "mano_valid", "bbox")}
    there = read["hand_type"]
    wrists = np.linalg.norm(np.asarray(pack.array("joints_cam")[rows, :, 0]), axis=-1)
    nearest = np.where(there & read["joints_valid"][..., 0], wrists, np.inf).min(1)
    table = pack.index.iloc[rows].reset_index(drop=True)
    return table.assign(
        annotated=(read["joints_valid"] & there[..., None]).sum((1, 2)) / (there.sum(1) * 21),
        fitted=(read["mano_valid"] | ~there).all(1),
        distance_m=np.where(np.isfinite(nearest), nearest, np.nan),
        box_px=read["bbox"][:, 2:].max(1),
    )


def summary(pack):
    """A row per kind of frame (`kinds`) -> DataFrame: how many frames, captures, cameras, …; medians of ``facts``."""
    if _whole(pack):
        return overview_persons.summary(pack, facts(pack))
    name = kinds(pack)
    groups = facts(pack).groupby(name, sort=False)
    counted = {f"{column}s": groups[column].nunique() for column in COUNTED if column in pack.index}
    return pd.DataFrame(
        {
            "frames": pack.index[name].value_counts(),
            **counted,
            "joints_annotated": groups["annotated"].mean(),
            "mano_fits": groups["fitted"].mean(),
            "distance_m": groups["distance_m"].median(),
            "box_px": groups["box_px"].median(),
        }
    ).rename_axis(name)


def crossed(pack):
    """How many frames of each kind there are by capture, object and camera (of whole people: by video, or how many are
    in the picture): a DataFrame of at most 20 rows.
    """
    if _whole(pack):
        return overview_persons.crossed(pack, facts(pack))
    columns = [name for name in ("capture", "object", "camera") if name in pack.index] + [kinds(pack)]
    return pack.index.groupby(columns).size().unstack(fill_value=0).head(20)


def _whole(pack):
    return viewer.of(pack) is viewer.persons


def figure(pack):
    """Frames of each kind, the commonest objects or cameras, joints annotated or sizes, distances: matplotlib."""
    if _whole(pack):
        return overview_persons.figure(pack, facts(pack))
    name, table = kinds(pack), facts(pack)
    result, ((bars, common), (third, distances)) = figures.sheet(9, 5.4, 2, 2)
    counts = pack.index[name].value_counts()
    colours = BY_HANDS if name == "hands" else dict(zip(counts.index, palette.CYCLE, strict=False))
    bars.bar(counts.index, counts, color=[colours.get(kind, palette.FAINT) for kind in counts.index])
    figures.tidy(bars, f"frames by {name}")
    _commonest(common, pack.index["object" if "object" in pack.index else "camera"])
    if table["annotated"].min() < 1:
        _joints(third, pack, len(table))
    else:
        _by_kind(third, table, name, "box_px", colours, "longer side of the hand's box", "px")
    _by_kind(distances, table, name, "distance_m", colours, "distance of the nearest wrist", "m")
    if len(table) < len(pack):
        result.suptitle(f"arrays of every {len(pack) // len(table)}th of {len(pack)} samples", fontsize=8)
    return result


def _commonest(axes, column, most=12):
    common = column.value_counts().head(most)
    axes.bar([figures.literal(str(one)) for one in common.index], common, color=palette.FAINT)
    axes.tick_params("x", rotation=60)
    figures.tidy(axes, f"the commonest of {column.nunique()} {column.name}s")


def _by_kind(axes, table, name, column, colours, title, unit):
    groups = {kind: group[column].dropna() for kind, group in table.groupby(name, sort=False)}
    colours = [colours.get(kind, palette.FAINT) for kind in groups]
    axes.hist(list(groups.values()), bins=24, stacked=True, color=colours, label=list(groups))
    axes.legend(fontsize=7, frameon=False)
    figures.tidy(axes, title, unit, "frames")


def _joints(axes, pack, most):
    """How often each joint is annotated where its hand is in view, both hands together."""
    rows = np.linspace(0, len(pack) - 1, most).astype(int)
    there, valid = (np.asarray(pack.array(name)[rows]) for name in ("hand_type", "joints_valid"))
    axes.bar(range(21), 100 * valid[there].mean(0), color=[palette.joint_colour(name) for name in HAND21.joints])
    axes.set_xticks(range(21), HAND21.joints, rotation=90)
    figures.tidy(axes, "joints annotated", ylabel="%")
