"""What a pack holds, in one table and one figure."""

import numpy as np
import pandas as pd

from handlib.fields import HAND21
from handlib.viewer import figures, palette

MOST = 50_000  # samples whose arrays are looked at; a larger pack is sampled evenly, and the figure says so
BY_HANDS = {"right": palette.SIDE["right"], "left": palette.SIDE["left"], "interacting": palette.INK}


def facts(pack, most=MOST):
    """A row per sample (evenly sampled beyond ``most``) -> DataFrame: hands, camera, capture, …, and what follows.

    annotated: share of the joints of the hands in view that are annotated in the picture; fitted: whether all of those
    hands have a MANO fit; distance_m: of the nearest wrist in view from the camera; box_px: longer side of the box.
    """
    count = len(pack)
    rows = np.arange(count) if count <= most else np.linspace(0, count - 1, most).astype(int)
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
    """A row per kind of hands -> DataFrame: how many frames, cameras, captures; medians of ``facts``."""
    groups = facts(pack).groupby("hands", sort=False)
    return pd.DataFrame(
        {
            "frames": pack.index["hands"].value_counts(),
            "captures": groups["capture"].nunique(),
            "cameras": groups["camera"].nunique(),
            "joints_annotated": groups["annotated"].mean(),
            "mano_fits": groups["fitted"].mean(),
            "distance_m": groups["distance_m"].median(),
            "box_px": groups["box_px"].median(),
        }
    ).rename_axis("hands")


def figure(pack):
    """Hands per kind, the commonest cameras, how often each joint is annotated, distances: a matplotlib figure."""
    table = facts(pack)
    result, ((kinds, cameras), (joints, distances)) = figures.sheet(9, 5.4, 2, 2)
    counts = pack.index["hands"].value_counts()
    kinds.bar(counts.index, counts, color=[BY_HANDS[name] for name in counts.index])
    figures.tidy(kinds, "frames by hands")
    common = pack.index["camera"].value_counts().head(12)
    cameras.bar(common.index.astype(str), common, color=palette.FAINT)
    cameras.tick_params("x", rotation=60)
    figures.tidy(cameras, f"the commonest of {pack.index['camera'].nunique()} cameras")
    _joints(joints, pack, len(table))
    groups = {name: group["distance_m"].dropna() for name, group in table.groupby("hands", sort=False)}
    colours = [BY_HANDS[name] for name in groups]
    distances.hist(list(groups.values()), bins=24, stacked=True, color=colours, label=list(groups))
    distances.legend(fontsize=7, frameon=False)
    figures.tidy(distances, "distance of the nearest wrist", "m", "frames")
    if len(table) < len(pack):
        result.suptitle(f"arrays of every {len(pack) // len(table)}th of {len(pack)} samples", fontsize=8)
    return result


def _joints(axes, pack, most):
    """How often each joint is annotated where its hand is in view, both hands together."""
    rows = np.linspace(0, len(pack) - 1, most).astype(int)
    there, valid = (np.asarray(pack.array(name)[rows]) for name in ("hand_type", "joints_valid"))
    axes.bar(range(21), 100 * valid[there].mean(0), color=[palette.joint_colour(name) for name in HAND21.joints])
    axes.set_xticks(range(21), HAND21.joints, rotation=90)
    figures.tidy(axes, "joints annotated", ylabel="%")
