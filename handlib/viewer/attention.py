"""What OSX looks at: which patches each of its tokens attends to, and where its decoders' joints take their features.

Figures of a `handlib.viewer.whole_body.Look` of osx_l or osx_b. KeyError for a network, or a decoder setting, without
what they show.
"""

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from handlib.body_joints import PARTS137, SMPLX65, SMPLX137
from handlib.viewer import figures, palette, whole_body
from handlib.viewer.occlusion import _glow

TOKENS = ("shape", "camera", "expression", "jaw", "left hand", "right hand", *SMPLX65.joints[:25])
LEVELS = {"4 x as fine as the encoder's": "#3B5BA9", "2 x": "#009988", "as the encoder's": "#EE7733"}  # maps asked
HAND = ("Thumb_4", "Index_4", "Middle_1", "Pinky_4")
FACE = {"Face_24": "corner of an eye", "Face_18": "nose", "Face_36": "corner of the mouth", "Face_64": "chin"}
_WORDS = {
    "attention": "how much each token takes from each patch in the last block, mean of the heads",
    "similarity": "cosine of each token to each patch, as both leave the encoder",
}


def tokens(seen, number=0, kind="attention", columns=8, tile=1.35):
    """A panel for each of the 31 tokens: how much it takes from each patch in the last block of the encoder
    ("attention": the excess over all alike, each on a scale of its own), or how alike it is to each patch that comes
    out of it ("similarity", one scale). Rings: where the token's joint truly is; dots: where the volume puts it.
    """
    values = seen.shown[kind][number].mean(0) if kind == "attention" else seen.shown[kind][number]
    width, height = seen.size
    rows = -(-len(TOKENS) // columns)
    figure, panels = figures.sheet(columns * tile, rows * (tile * height / width + 0.25), rows, columns)
    for axes in panels.flat:
        axes.set_axis_off()
    limit = np.abs(values).max()
    for token, (axes, name) in enumerate(zip(panels.flat, TOKENS, strict=False)):
        figures.show_pale(axes, seen.images[number], name + (" (unused)" if token in unused(seen) else ""))
        if kind == "attention":
            _glow(axes, 0.9 * whole_body.excess(values[token]), palette.BODY["rhand"], seen.size)
        else:
            extent = (0, width, height, 0)
            axes.imshow(values[token], cmap="RdBu_r", vmin=-limit, vmax=limit, alpha=0.6, extent=extent, zorder=2)
        if token > TOKENS.index("right hand"):
            _joint(axes, seen, number, SMPLX65.joints.index(name))
    if kind == "similarity":
        _bar(figure, panels, limit)
    figures.heading(figure, _WORDS[kind])
    return figure


def unused(seen):
    """The tokens that nothing is made of: the hands', and with a face decoder expression and jaw."""
    names = ["left hand", "right hand"] + (["expression", "jaw"] if "face_looks" in seen.shown else [])
    return [TOKENS.index(name) for name in names]


def _joint(axes, seen, number, row):
    found, true = seen.pixels(seen.places[number, row]), seen.pixels(seen.truth[number, row])
    axes.scatter(*found, s=9, c=palette.PREDICTION, edgecolors="white", linewidths=0.5, zorder=6)
    if np.isfinite(true).all():
        figures.rings(axes, [true], [palette.TRUTH], 0.035 * seen.size[1])


def _bar(figure, panels, limit):
    bar = figure.colorbar(
        ScalarMappable(Normalize(-limit, limit), "RdBu_r"), ax=list(panels.flat), shrink=0.5, pad=0.01
    )
    bar.set_label("cosine", fontsize=7)
    bar.ax.tick_params(labelsize=6)
    bar.outline.set_visible(False)


def reaching(seen, number=0, hand=HAND, face=FACE, rows=4):
    """Where joints of the hands and points of the face look in the last layer of their decoders: a row each, on the cut
    that they ask; eight heads with four points in each of three maps, as large as they weigh. Ring: where the joint was
    found, about which it looks.

    hand: joints without their side; face: {joint of SMPLX137: words}; rows: at most so many of either.
    """
    parts = [part for part in whole_body.PARTS if _kind(part) + "_looks" in seen.shown]
    if not parts:
        raise KeyError(f"{seen.method} has no decoder that looks anywhere")
    rows = min(rows, max(len(hand), len(face) if "face" in parts else 0))
    figure, panels = figures.sheet(2.4 * len(parts), 2.55 * rows + 0.4, rows, len(parts))
    for axes in panels.flat:
        axes.set_axis_off()
    for column, part in zip(panels.T, parts, strict=True):
        asked = face if part == "face" else dict(zip(hand, hand, strict=True))
        for axes, (joint, words) in zip(column, asked.items(), strict=False):
            figures.show_pale(axes, seen.cuts[part][number], f"{whole_body.PARTS[part]}: {words.replace('_', ' ')}")
            _points(axes, *_looks(seen, number, part, joint))
    for words, colour in LEVELS.items():
        panels.flat[0].scatter([], [], s=24, c=colour, label=f"map {words}")
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def _kind(part):
    return "face" if part == "face" else "hand"


def _looks(seen, number, part, joint):
    """Places (heads, levels, points, 2) of a joint's looks, their weights, and where it asks from; fractions of the
    cut.
    """
    name = joint if part == "face" else f"{part[0].upper()}_{joint}"
    query = SMPLX137.joints.index(name) - PARTS137[part].start
    row = number + (len(seen.images) if part == "rhand" else 0)  # of both hands the left ones come first
    looks, weights, queries = (
        seen.shown[f"{_kind(part)}_{what}"][row, query] for what in ("looks", "weights", "queries")
    )
    return looks, weights, queries[0]


def _points(axes, places, weights, query):
    for level, colour in enumerate(LEVELS.values()):
        x, y = whole_body.CROPS * places[:, level].reshape(-1, 2).T
        axes.scatter(x, y, s=900 * weights[:, level].ravel(), c=colour, alpha=0.55, linewidths=0, zorder=5)
    figures.rings(axes, [whole_body.CROPS * query], [palette.PREDICTION], 0.03 * whole_body.CROPS)


def spread(seen, number=0):
    """Table rows of how far the decoders' joints look, for a DataFrame: of each part the mean distance of what is taken
    from where the joint was found, in shares of the cut, and the share that comes from each of the three maps.
    """
    rows = []
    for part in whole_body.PARTS:
        if _kind(part) + "_looks" not in seen.shown:
            continue
        row = number + (len(seen.images) if part == "rhand" else 0)
        looks, weights, queries = (seen.shown[f"{_kind(part)}_{what}"][row] for what in ("looks", "weights", "queries"))
        away = np.linalg.norm(looks - queries[:, None, :, None], axis=-1)
        share = weights.mean((0, 1)).sum(-1)
        facts = {
            "part": whole_body.PARTS[part],
            "distance": float((away * weights).sum((1, 2, 3)).mean() / weights.shape[1]),
        }
        rows.append(facts | {f"from map {words}": float(part) for words, part in zip(LEVELS, share, strict=True)})
    return rows
