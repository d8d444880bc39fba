"""Pictures of errors: PCK curves, the error of each joint on a drawn hand, of each vertex on a mesh, error against a
number of the frame. Tables and arrays of `handlib.analysis` in, one figure out, nothing else touched.

Matplotlib figures, but for `vertices`, which turns (plotly); `vertices_static` is its twin.
"""

import numpy as np
import plotly.graph_objects as go
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patches import Circle, Polygon
from matplotlib.ticker import PercentFormatter

from handlib import render
from handlib.fields import HAND21
from handlib.viewer import browser, figures, mesh, palette, static

# A right hand seen from its back, HAND21, wrist at the origin, y up, the palm 1 long.
_FLAT = np.array(
    [
        (0, 0),
        *[(-0.34, 0.24), (-0.66, 0.50), (-0.88, 0.79), (-1.03, 1.07)],
        *[(-0.36, 1.00), (-0.47, 1.40), (-0.53, 1.70), (-0.58, 1.99)],
        *[(-0.04, 1.06), (-0.05, 1.50), (-0.05, 1.83), (-0.05, 2.14)],
        *[(0.27, 0.99), (0.35, 1.41), (0.40, 1.72), (0.44, 2.01)],
        *[(0.55, 0.83), (0.72, 1.15), (0.82, 1.40), (0.90, 1.64)],
    ]
)
_PALM = np.array([(-0.22, -0.2), (-0.36, 0.2), (-0.46, 0.95), (-0.04, 1.06), (0.32, 1.0), (0.62, 0.82), (0.24, -0.2)])
_WIDTH = (0.17, 0.15, 0.155, 0.15, 0.13)  # half a finger's width
_DOT = 0.118  # radius of a joint's dot
_LIMITS_MM = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100, 150, 200, 300, 500, 1000)


def pck_curves(curves, title="joints within a distance", unit="mm"):
    """PCK curves with their bands.

    curves: {name: frame of `handlib.analysis.pck`}; every name stands at the end of the legend with its AUC.
    """
    figure, ((axes,),) = figures.sheet(5.6, 3.6)
    for (name, curve), colour in zip(curves.items(), palette.CYCLE, strict=False):
        attrs = curve.attrs
        words = f"{name}   AUC {attrs['auc']:.3f} ({attrs['auc_low']:.3f} to {attrs['auc_high']:.3f})"
        axes.fill_between(curve["threshold_mm"], curve["low"], curve["high"], color=colour, alpha=0.18, lw=0)
        axes.plot(curve["threshold_mm"], curve["pck"], color=colour, lw=1.8, label=words)
    figures.tidy(axes, title, f"threshold ({unit})", "share of joints (PCK)")
    axes.set_ylim(0, 1.02)
    axes.set_xlim(0, max(curve["threshold_mm"].max() for curve in curves.values()))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(fontsize=7.5, frameon=False, loc="best")
    return figure


def joints_on_hand(values, title="", unit="mm", limit=None):
    """The error of each joint in its place on a drawn hand, as colour and as number.

    values: {"right": (21,), "left": (21,)} or one of them, HAND21, in ``unit``; NaN where nothing is known (a dash).
    limit: upper end of the colours; None: the first round number that holds all.
    """
    sides = [side for side in ("left", "right") if side in values]  # as one's own hands lie before one
    if not sides:
        raise ValueError("values has neither 'right' nor 'left'")
    arrays = {side: np.asarray(values[side], float) for side in sides}
    if any(array.shape != (21,) for array in arrays.values()):
        raise ValueError(f"21 values per hand, not {[array.shape for array in arrays.values()]}")
    scale = Normalize(0, limit or round_limit(np.concatenate(list(arrays.values()))))
    figure, (panels,) = figures.sheet(3.7 * len(sides) + 0.7, 4.4, 1, len(sides))
    for axes, side in zip(panels, sides, strict=True):
        _drawn_hand(axes, arrays[side], side, scale)
        axes.set_title(f"{side} hand, seen from its back", fontsize=8, color=palette.INK)
    bar = figure.colorbar(ScalarMappable(scale, palette.ERROR_SCALE), ax=list(panels), shrink=0.6, aspect=22, pad=0.01)
    bar.set_label(f"mean error ({unit})", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    bar.outline.set_visible(False)
    if title:
        figures.heading(figure, title)
    return figure


def _drawn_hand(axes, values, side, scale):
    places = _FLAT * ([1, 1] if side == "right" else [-1, 1])
    skin = palette.mix(palette.SIDE[side], "#FFFFFF", 0.62)
    axes.add_patch(
        Polygon(_PALM * ([1, 1] if side == "right" else [-1, 1]), fc=skin, ec=skin, lw=14, joinstyle="round")
    )
    for child, parent in HAND21.bones:
        _phalanx(axes, places[parent] if child % 4 != 1 or child == 1 else places[child], places[child], child, skin)
    for child, parent in HAND21.bones:
        axes.plot(*places[[child, parent]].T, color="white", lw=2.4, zorder=2, solid_capstyle="round")
    for place, value in zip(places, values, strict=True):
        known = np.isfinite(value)
        colour = colormaps[palette.ERROR_SCALE](scale(value))[:3] if known else (1, 1, 1)
        dark = np.dot(colour, (0.3, 0.59, 0.11)) < 0.5
        axes.add_patch(Circle(place, _DOT, fc=colour, ec=palette.INK, lw=0.7, zorder=3))
        words = "–" if not known else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"
        axes.text(
            *place,
            words,
            ha="center",
            va="center_baseline",
            fontsize=7.2,
            zorder=4,
            color="white" if dark else palette.INK,
        )
    axes.set_aspect("equal")
    axes.set_xlim(np.array([-1.24, 1.1] if side == "right" else [-1.1, 1.24]))
    axes.set_ylim(-0.36, 2.36)
    axes.set_axis_off()


def _phalanx(axes, start, end, joint, colour):
    """A capsule from joint to joint."""
    width = _WIDTH[(joint - 1) // 4]
    along = end - start
    length = np.hypot(*along)
    for place in (start, end):
        axes.add_patch(Circle(place, width, fc=colour, lw=0))
    if length:
        across = width * np.array([-along[1], along[0]]) / length
        axes.add_patch(Polygon([start + across, end + across, end - across, start - across], fc=colour, lw=0))


def round_limit(values):
    """The first round number that holds every value (NaN aside)."""
    top = np.nanmax(np.append(values, 0))
    return next((limit for limit in _LIMITS_MM if limit >= top), float(top))


def by_group(table, name, column, title="", unit="mm"):
    """A figure of every group with its interval: what `handlib.analysis.breakdown` gives with ``intervals``.

    name: the column of labels; column: the figure's; intervals are drawn where ``<column>_low`` is there.
    """
    parts = table[table[name] != "all"]
    figure, ((axes,),) = figures.sheet(5.2, 0.6 + 0.27 * max(len(parts), 2))
    rows = np.arange(len(parts))[::-1]
    if f"{column}_low" in parts:
        axes.hlines(rows, parts[f"{column}_low"], parts[f"{column}_high"], color=palette.CYCLE[0], lw=2.2, alpha=0.45)
    axes.scatter(parts[column], rows, s=22, color=palette.CYCLE[0], zorder=3)
    whole = table.loc[table[name] == "all", column]
    if len(whole):
        axes.axvline(whole.iloc[0], color=palette.FAINT, lw=1, ls=(0, (4, 3)), label="all frames")
        axes.legend(fontsize=7, frameon=False, loc="best")
    labels = [f"{label} ({count})" for label, count in zip(parts[name], parts["samples"], strict=True)]
    axes.set_yticks(rows, list(map(figures.literal, labels)))
    figures.tidy(axes, title, f"{column.removesuffix(f'_{unit}').replace('_', ' ')} ({unit})")
    axes.grid(axis="x", lw=0.4, color="#DDDDDD")
    axes.grid(axis="y", visible=False)
    axes.set_ylim(-0.7, len(parts) - 0.3)
    return figure


def against(panels, unit="mm"):
    """Mean error against numbers of the frames, a panel each, with intervals and the number of frames in a bin.

    panels: {what the axis says: frame of `handlib.analysis.against`}.
    """
    figure, (places,) = figures.sheet(3.7 * len(panels) + 0.3, 3.0, 1, len(panels))
    for axes, (words, table) in zip(places, panels.items(), strict=True):
        x, low, high = (table.iloc[:, column].to_numpy(float) for column in (0, 1, 2))
        colour = palette.CYCLE[0]
        axes.fill_between(x, table["low"], table["high"], color=colour, alpha=0.15, lw=0)
        axes.errorbar(
            x,
            table["value"],
            xerr=np.maximum([x - low, high - x], 0),  # a mean of equal numbers can be beside them, by rounding
            fmt="o-",
            ms=4,
            lw=1.5,
            elinewidth=0.8,
            ecolor=palette.FAINT,
            color=colour,
        )
        axes.set_ylim(0, 1.16 * np.nanmax(table["high"]))
        for place, top, samples in zip(x, table["high"], table["samples"], strict=True):
            axes.annotate(
                f"{samples}",
                (place, top),
                (0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=6.5,
                color=palette.FAINT,
            )
        title = f"rank correlation {table.attrs['rank_correlation']:+.2f} over {table.attrs['samples']} frames"
        figures.tidy(axes, title, words, f"mean error ({unit})")
    return figure


# Vertices


def upright(layer, side):
    """The mean hand as `vertices` takes it: fingers up, palm to the viewer."""
    return mesh.pose(mesh.rest(layer, side))


def over_surface(hand, joint_errors):
    """Errors of the 21 joints spread over a hand's vertices -> (V,): for networks that give joints and no mesh.

    Each vertex has the mean of the joints weighted by 1 / distance ** 4, so that near a joint it is that joint's. A
    joint that is NaN is left out.
    """
    values = np.asarray(joint_errors, float)
    known = np.isfinite(values)
    apart = np.linalg.norm(hand.verts[:, None] - hand.joints[None, known], axis=-1)
    weights = 1 / np.maximum(apart, 1e-4) ** 4
    return (weights * values[known]).sum(1) / weights.sum(1)


def surface(layers, joint_errors, vertex_errors=None):
    """The mean hands with their errors in mm, {side: (`mesh.Hand`, (V,))}, for `vertices_static`; and in words whose
    errors they are.

    joint_errors: {side: (21,)}, spread over the surface where there are none of the vertices (V,), which are a right
    hand's. Hands without errors are left out.
    """
    if vertex_errors is not None:
        return {"right": (upright(layers["right"], "right"), vertex_errors)}, "errors of the mesh"
    known = {side: values for side, values in joint_errors.items() if np.isfinite(values).any()}
    hands = {side: upright(layers[side], side) for side in known}
    spread = {side: (hands[side], over_surface(hands[side], values)) for side, values in known.items()}
    return spread, "joint errors spread over the surface"


def vertices(hand, errors, title="", limit=None):
    """Errors (V,) mm as colours of a mesh that turns: a plotly figure. hand: `mesh.Hand`, as of `upright`."""
    limit = limit or round_limit(errors)
    values = mesh.coloured(hand, "error", np.asarray(errors)) | {"cmax": limit}
    result = go.Figure(mesh.solid_mesh(**mesh.mesh_values(hand), **values, customdata=np.asarray(errors, np.float32)))
    result.data[0].update(hoverinfo=None, hovertemplate="%{customdata:.1f} mm<extra></extra>")
    title = dict(text=mesh.literal(title), font=dict(size=13), x=0.02)
    result.update_layout(
        scene=mesh.scene(mesh.limits(hand.verts)), title=title, height=560,
        margin=dict(l=0, r=0, t=48, b=0), paper_bgcolor="white", font=dict(color=palette.INK),
    )  # fmt: skip
    return result


def vertices_static(hands, title="", limit=None):
    """The static twin of `vertices`: each hand from its palm and from its back.

    hands: {name: (`mesh.Hand`, errors (V,) mm)}; all share one scale.
    """
    limit = limit or round_limit(np.concatenate([errors for _, errors in hands.values()]))
    figure, (panels,) = figures.sheet(2.5 * 2 * len(hands) + 0.6, 3.2, 1, 2 * len(hands))
    views = [(name, *pair, back) for name, pair in hands.items() for back in (False, True)]
    for axes, (name, hand, errors, back) in zip(panels, views, strict=True):
        figures.show_picture(axes, _portrait(hand, errors / limit, back), f"{name}, {'back' if back else 'palm'}")
    bar = figure.colorbar(
        ScalarMappable(Normalize(0, limit), palette.ERROR_SCALE), ax=list(panels), shrink=0.7, pad=0.01
    )
    bar.set_label("mean error (mm)", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    bar.outline.set_visible(False)
    if title:
        figures.heading(figure, title)
    return figure


def _portrait(hand, shares, back):
    """A hand coloured by 0..1, uint8 picture."""
    verts = hand.verts - hand.verts.mean(0)
    if back:
        verts = verts * [-1, 1, -1]
    K, offset = static.portrait_camera(mesh.limits(1.12 * verts, step=1))
    bare = render.Mesh(verts + offset, hand.faces, colours=np.ones(3))
    colours = colormaps[palette.ERROR_SCALE](np.clip(shares, 0, 1))[:, :3]
    shaded, light = (
        render.shade([one], K, (static.PIXELS,) * 2, shadows=False) for one in (bare._replace(colours=colours), bare)
    )
    cover, light = shaded[..., 3:], np.maximum(light[..., :1], 1e-3)
    # Shading darkens, and dark means bad: only so much of it is left as makes the shape readable.
    toned = cover * shaded[..., :3] / light * (0.62 + 0.38 * np.minimum(light / np.maximum(cover, 1e-3), 1))
    return (static.paper() * (1 - cover) + 255 * toned).round().clip(0, 255).astype(np.uint8)


def posed(pack, layers):
    """What `handlib.analysis.occlusion` asks: a function of a place in the pack -> its fitted hands' meshes."""

    def hands(place):
        found = browser.meshes(browser.read(pack, layers, place), layers).values()
        return [(hand.verts, hand.faces, hand.joints) for hand in found]

    return hands
