"""How HandOccNet sees a hand behind something: what it parts, where a hidden place looks, and what comes out.

A `Look` is what the network answered to a few crops. Cells are 32 x 32 over the crop, 8 pixels wide. A joint's query is
the cell in which the joint truly lies, seen or not.
"""

import dataclasses

import numpy as np
import torch
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.patches import Rectangle

from handlib.fields import HAND21
from handlib.training.predictions import evaluating
from handlib.viewer import figures, palette

CELLS = 32
PRIMARY, SECONDARY, ASKED = "#009988", "#EE7733", "#C9186C"
TIPS = [HAND21.joints.index(f"{finger}4") for finger in palette.FINGER]
_PARTED = LinearSegmentedColormap.from_list("parted", [SECONDARY, palette.PAPER, PRIMARY])


@dataclasses.dataclass(frozen=True)
class Look:
    """What the network answered to N crops, numpy.

    images (N, 3, h, w); mask (N, 32, 32), 0..1, the share of a cell's features that is primary; primary, secondary (N,
    32, 32): root mean square of the features over their channels; heatmaps (N, 21, 32, 32), sum 1; joints, truth (N,
    21, 2), 0..1 of the crop; fit, set (N, 21, 4, 32, 32): what comes from each cell to each joint's query in the last
    block, by head, summing up to 1, in FIT to its gate; gate (N, 21, 4), 0..1.
    """

    images: np.ndarray
    mask: np.ndarray
    primary: np.ndarray
    secondary: np.ndarray
    heatmaps: np.ndarray
    joints: np.ndarray
    truth: np.ndarray
    fit: np.ndarray
    set: np.ndarray
    gate: np.ndarray

    @property
    def size(self):
        """Width and height of the crops, pixels."""
        return np.array(self.images.shape[:1:-1])

    @property
    def passed(self):
        """(N, 21): the mask at each joint's query."""
        column, row = cells(self.truth).transpose(2, 0, 1)
        return self.mask[np.arange(len(self.mask))[:, None], row, column]


def look(net, items, device="cpu"):
    """Show HandOccNet the crops of some items (`handlib.training.Crops`) -> `Look`."""
    images = torch.from_numpy(np.stack([item["image"] for item in items])).to(device)
    truth = np.stack([item["targets"]["joints_img"] for item in items])
    with evaluating(net, torch.device(device)):
        out = net(images, stages=True)
        found = net.attention(images)
    numpy = {name: value.float().cpu().numpy() for name, value in found.items()}
    column, row = cells(truth).transpose(2, 0, 1)
    queries, rows = row * CELLS + column, np.arange(len(items))[:, None]
    asked = {name: np.moveaxis(numpy[name], 1, 2)[rows, queries] for name in ("fit", "set", "gate")}
    return Look(
        images=images.float().cpu().numpy(),
        mask=numpy["mask"][:, 0],
        **{name: np.sqrt(np.square(numpy[name]).mean(1)) for name in ("primary", "secondary")},
        heatmaps=out["heatmaps"].float().cpu().numpy(),
        joints=out["joints_img"].float().cpu().numpy(),
        truth=truth,
        **{name: asked[name].reshape(*asked[name].shape[:3], CELLS, CELLS) for name in ("fit", "set")},
        gate=asked["gate"],
    )


def cells(places):
    """Places (…, 2), x and y in 0..1 of a crop -> the cells (…, 2) int, column and row, in which they lie; those
    beyond the crop in the nearest.
    """
    return np.clip(np.floor(np.asarray(places, float) * CELLS), 0, CELLS - 1).astype(int)


def least_passed(seen, number=0):
    """The joint of crop ``number`` whose cell the mask passes least: the one that the network takes for hidden most."""
    return HAND21.joints[int(seen.passed[number].argmin())]


# ------------------------------------------------------------------------------------------ one look, several crops


def parting(seen, captions=None):
    """A row for each crop: the true hand, the mask, and the energy of the primary and of the secondary features."""
    figure, panels = figures.sheet(11.2, 2.75 * len(seen.images) + 0.2, len(seen.images), 4)
    captions = captions or [""] * len(seen.images)
    for number, (line, caption) in enumerate(zip(panels, captions, strict=True)):
        figures.show_picture(line[0], seen.images[number], caption)
        figures.draw_skeleton(line[0], seen.truth[number] * seen.size, colour=palette.TRUTH)
        figures.show_pale(line[1], seen.images[number], "" if number else "mask m: what passes as primary")
        _over(line[1], _PARTED(seen.mask[number]), seen.size, 0.72)
        _dots(line[1], seen, number)
        limit = max(seen.primary[number].max(), seen.secondary[number].max())
        for axes, name, colour in ((line[2], "primary", PRIMARY), (line[3], "secondary", SECONDARY)):
            words = {"primary": "primary features F · m", "secondary": "secondary features F · (1 − m)"}[name]
            figures.show_pale(axes, seen.images[number], "" if number else words)
            _glow(axes, getattr(seen, name)[number] / limit, colour, seen.size)
    _bar(figure, panels[:, 1], _PARTED, "0: all secondary, 1: all primary")
    return figure


def heat_maps(seen, captions=None):
    """The heat maps of the five finger tips over each crop, with the joints that come out of them; rings: the truth."""

    def decorate(axes, number):
        _tips(axes, seen, number, [seen])

    return figures.grid([figures.pale(image) for image in seen.images], captions, 4, 2.8, decorate)


# ------------------------------------------------------------------------------------------ one crop, several looks


def while_training(looks, number=0):
    """Crop ``number`` in several looks ({caption: `Look`}): the mask above, the finger tips' heat maps below."""
    figure, panels = figures.sheet(2.7 * len(looks) + 0.6, 5.6, 2, len(looks))
    for (above, below), (caption, seen) in zip(panels.T, looks.items(), strict=True):
        figures.show_pale(above, seen.images[number], caption)
        _over(above, _PARTED(seen.mask[number]), seen.size, 0.72)
        _dots(above, seen, number)
        figures.show_pale(below, seen.images[number])
        _tips(below, seen, number, looks.values())
    _bar(figure, panels[0], _PARTED, "mask m")
    return figure


def attention(looks, number=0, joint="index4"):
    """Where the place of one joint looks: a row for each look ({caption: `Look`}), a column for each head of FIT and
    one for SET (mean of its heads). The maps of a column are on one scale; FIT's titles give the gate, which scales
    what a head brings.

    joint: of HAND21; its cell is framed.
    """
    place = HAND21.joints.index(joint)
    heads = next(iter(looks.values())).gate.shape[-1]
    fit = np.max([each.fit[number, place].max((1, 2)) for each in looks.values()], 0)
    limits = [*fit, max(each.set[number, place].mean(0).max() for each in looks.values())]
    figure, panels = figures.sheet(2.2 * (heads + 2), 2.5 * len(looks) + 0.3, len(looks), heads + 2)
    for line, (caption, seen) in zip(panels, looks.items(), strict=True):
        figures.show_picture(line[0], seen.images[number], f"{caption}: m here {seen.passed[number, place]:.2f}")
        for head in range(heads):
            words = f"FIT, head {head + 1}: gate {seen.gate[number, place, head]:.2f}"
            figures.show_pale(line[head + 1], seen.images[number], words)
            _glow(line[head + 1], seen.fit[number, place, head] / max(limits[head], 1e-12), PRIMARY, seen.size)
        figures.show_pale(line[-1], seen.images[number], "SET, mean of its heads")
        _glow(line[-1], seen.set[number, place].mean(0) / limits[-1], ASKED, seen.size)
        for axes in line:
            _frame(axes, seen, number, place)
    words = f"{joint}: where its cell (framed) looks among the primary features (FIT), and then among all (SET)"
    figures.heading(figure, words)
    return figure


def reach(seen, number=0):
    """Table rows of where each joint's query looks, for a DataFrame: ``mask`` at its cell; ``gate``, FIT's, mean of
    the heads; ``fit_px``, ``set_px``: mean distance in crop pixels from the joint to what comes to it.
    """
    middles = (np.arange(CELLS) + 0.5) * seen.size[0] / CELLS
    x, y = np.meshgrid(middles, middles)
    rows = []
    for place, name in enumerate(HAND21.joints):
        away = np.hypot(*(np.stack([x, y]) - (seen.truth[number, place] * seen.size)[:, None, None]))
        maps = {kind: getattr(seen, kind)[number, place].mean(0) for kind in ("fit", "set")}
        far = {f"{kind}_px": float((away * shown).sum() / max(shown.sum(), 1e-12)) for kind, shown in maps.items()}
        facts = {
            "joint": name,
            "mask": float(seen.passed[number, place]),
            "gate": float(seen.gate[number, place].mean()),
        }
        rows.append(facts | far)
    return rows


# ------------------------------------------------------------------------------------------------------- drawing


def _over(axes, rgba, size, opaque):
    """Cells (32, 32, 4) as colours over a picture."""
    rgba = np.array(rgba, float)
    rgba[..., 3] *= opaque
    return axes.imshow(rgba, extent=(0, size[0], size[1], 0), interpolation="bilinear", zorder=2)


def _glow(axes, values, colour, size):
    """Cells (32, 32), 0..1, as more or less opaque colour."""
    values = np.clip(np.nan_to_num(values), 0, 1)[..., None]
    _over(axes, np.concatenate([np.broadcast_to(to_rgb(colour), (*values.shape[:2], 3)), values], -1), size, 0.9)


def _dots(axes, seen, number):
    """Where the joints truly are."""
    axes.scatter(*(seen.truth[number] * seen.size).T, s=7, c="white", edgecolors=palette.INK, linewidths=0.6, zorder=5)


def _tips(axes, seen, number, looks):
    """The heat maps' excess over one that is the same everywhere; the scale of a tip is that of all ``looks``."""
    colours, alike = list(palette.FINGER.values()), 1 / CELLS**2
    for place, colour in zip(TIPS, colours, strict=True):
        limit = max(each.heatmaps[number, place].max() for each in looks)
        _glow(axes, 0.7 * (seen.heatmaps[number, place] - alike) / max(limit - alike, alike), colour, seen.size)
    places = seen.joints[number][TIPS] * seen.size
    axes.scatter(*places.T, s=26, c=colours, edgecolors="white", linewidths=0.9, zorder=6)
    figures.rings(axes, seen.truth[number][TIPS] * seen.size, colours, 0.028 * seen.size[0])


def _frame(axes, seen, number, place):
    """The cell of a joint, and the joint."""
    width, height = seen.size / CELLS
    column, row = cells(seen.truth[number, place])
    corner = column * width, row * height
    axes.add_patch(Rectangle(corner, width, height, fill=False, ec="white", lw=2.4, zorder=5))
    axes.add_patch(Rectangle(corner, width, height, fill=False, ec=ASKED, lw=1.4, zorder=6))


def _bar(figure, axes, colours, words):
    bar = figure.colorbar(ScalarMappable(Normalize(0, 1), colours), ax=list(np.ravel(axes)), shrink=0.6, pad=0.01)
    bar.set_label(words, fontsize=7)
    bar.ax.tick_params(labelsize=7)
    bar.outline.set_visible(False)
