"""Small matplotlib figures of training and evaluation: arrays in, one figure out, nothing else touched.

Pictures are float (3, h, w) in 0..1 or uint8 (h, w, 3), RGB, numpy or torch. Joints are pixels of that picture with
(0, 0) the centre of the top-left pixel, (42, 2) in INTERHAND42 order or (H, 21, 2) in house order; a joint that is NaN
or not valid is not drawn.
"""

import io

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from handlib.fields import HAND21, INTERHAND42, interhand42
from handlib.files import InputError
from handlib.geometry import decode_25d
from handlib.viewer import palette


class Sheet(Figure):
    """A matplotlib figure outside pyplot's global list: shows itself in a notebook and is freed like any object."""

    def _repr_png_(self):
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()


def sheet(width, height, rows=1, columns=1):
    """-> (figure, axes (rows, columns)), sizes in inches."""
    figure = Sheet(figsize=(width, height), layout="constrained", facecolor="white")
    return figure, figure.subplots(rows, columns, squeeze=False)


def picture(image):
    """Float (3, h, w) in 0..1 or uint8 (h, w, 3), numpy or torch -> uint8 (h, w, 3)."""
    image = np.asarray(image)
    if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3:
        return image
    if image.ndim == 3 and image.shape[0] == 3 and np.issubdtype(image.dtype, np.floating):
        return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8).transpose(1, 2, 0)
    raise ValueError(f"a picture is float (3, h, w) or uint8 (h, w, 3), not {image.dtype} {image.shape}")


def draw_skeleton(axes, joints, valid=None, colour=None, width=1.6, side="right"):
    """Bones and joints over a picture: fingers in their colours, or all in ``colour``; thin dark rim for contrast.

    ``side`` is whose joints they are where a single hand is given.
    """
    joints, shown = _skeleton(joints, valid)
    joint_set = INTERHAND42 if len(joints) == 42 else HAND21
    bones = [(a, b) for a, b in joint_set.bones if shown[a] and shown[b]]
    colours = [colour or palette.joint_colour(name, side) for name in joint_set.joints]
    segments = [joints[[a, b]] for a, b in bones]
    axes.add_collection(LineCollection(segments, colors=palette.INK, linewidths=width + 1.2, alpha=0.55))
    axes.add_collection(LineCollection(segments, colors=[colours[a] for a, _ in bones], linewidths=width))
    dots = np.flatnonzero(shown)
    axes.scatter(
        *joints[dots].T, s=5 * width, c=[colours[i] for i in dots], edgecolors=palette.INK, linewidths=0.4, zorder=3
    )


def _skeleton(joints, valid):
    """Either layout of joints -> (42 or 21, 2), and which of them can be drawn."""
    joints = np.asarray(joints, float)
    if joints.ndim == 3:
        joints = _from_hands(joints)
        valid = None if valid is None else _from_hands(np.asarray(valid)[..., None])[:, 0]
    shown = np.isfinite(joints).all(-1)
    return joints, shown if valid is None else shown & (np.asarray(valid).reshape(-1) > 0)


def _from_hands(joints):
    return interhand42(joints) if len(joints) == 2 else joints[0]


def show_picture(axes, image, caption=""):
    """A picture on axes of its own; what is drawn over it later does not move its borders."""
    axes.imshow(picture(image))
    axes.autoscale(False)
    axes.set_axis_off()
    if caption:
        axes.set_title(literal(caption), fontsize=8, color=palette.INK)


def heading(figure, words, size=9):
    """The heading over all plots of a figure."""
    figure.suptitle(literal(words), fontsize=size, color=palette.INK)


def literal(words):
    """Words that may come from a file, for matplotlib: its dollars are letters and begin no formula."""
    return words.replace("$", r"\$")


def show_pale(axes, image, caption=""):
    """A picture on axes of its own, `pale`."""
    show_picture(axes, pale(image), caption)


def pale(image):
    """A picture greyed, so that colours over it can be read; uint8 (h, w, 3)."""
    grey = picture(image).mean(-1, keepdims=True).repeat(3, -1)
    return (255 - 0.6 * (255 - grey)).round().astype(np.uint8)


def outline(axes, box, colour, width=1.4):
    """A box x, y, w, h."""
    axes.add_patch(Rectangle(box[:2], box[2], box[3], fill=False, edgecolor=colour, linewidth=width))


def rings(axes, places, colours, size):
    """The truth: open circles of radius ``size`` about ``places`` (N, 2), in pixels."""
    for place, colour in zip(places, colours, strict=True):
        axes.add_patch(Circle(place, size, fill=False, ec="white", lw=2.2, zorder=4))
        axes.add_patch(Circle(place, size, fill=False, ec=colour, lw=1.2, zorder=5))


def gallery(images, captions=None, columns=4, tile=2.6):
    """A grid of pictures with captions: contact sheets, the worst frames, …"""
    return grid(images, captions, columns, tile, lambda axes, index: None)


def grid(images, captions, columns, tile, decorate):
    """Pictures side by side; ``decorate(axes, number)`` draws over each."""
    images = list(images)
    if not images:
        raise ValueError("no pictures to show")
    captions = [""] * len(images) if captions is None else list(captions)
    if len(captions) != len(images):
        raise ValueError(f"{len(images)} pictures but {len(captions)} captions")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    tallest = max(height / width for height, width, _ in (picture(image).shape for image in images))
    figure, places = sheet(columns * tile, rows * (tile * tallest + 0.3), rows, columns)
    for axes in places.flat:
        axes.set_axis_off()
    for index, (axes, image, caption) in enumerate(zip(places.flat, images, captions, strict=False)):
        show_picture(axes, image, caption)
        decorate(axes, index)
    return figure


def joints_over_images(images, pred_xy, true_xy=None, valid=None, captions=None, columns=4, tile=2.6):
    """Predicted skeletons over pictures, the true ones beneath.

    images: N pictures, or items of ``crops`` (dict with "image"); pred_xy, true_xy: N times joints in crop pixels;
    valid: N times which joints are trusted (hides both).
    """

    def decorate(axes, index):
        trusted = None if valid is None else valid[index]
        if true_xy is not None:
            draw_skeleton(axes, true_xy[index], trusted, palette.TRUTH)
        draw_skeleton(axes, pred_xy[index], trusted, palette.PREDICTION)

    images = [image["image"] if isinstance(image, dict) else image for image in images]
    figure = grid(images, captions, columns, tile, decorate)
    drawn = [("prediction", palette.PREDICTION)] + ([("truth", palette.TRUTH)] if true_xy is not None else [])
    handles = [Rectangle((0, 0), 1, 1, color=colour, label=name) for name, colour in drawn]
    figure.legend(handles=handles, loc="outside upper right", ncols=2, fontsize=8, frameon=False)
    return figure


def batch_sheet(items, columns=4, tile=2.6):
    """What the network sees: the crops of a batch with the joints it is asked for, and which hands they are.

    items: dicts of `handlib.crops` (image and targets), of two hands or of one.
    """

    def decorate(axes, index):
        draw_skeleton(axes, *asked_for(items[index]))

    captions = [_hands(item["targets"]) for item in items]
    return grid([item["image"] for item in items], captions, columns, tile, decorate)


def asked_for(item):
    """The joints of an item's targets in crop pixels, (42 or 21, 2), and which of them count."""
    targets = item["targets"]
    if "joints_img" in targets:
        pixels = np.asarray(targets["joints_img"], float) * np.array(item["image"].shape[:0:-1])
        return pixels, np.ones(len(pixels), bool)
    if "joints_uvd" in targets:
        size = np.array(item["image"].shape[:0:-1])
        return np.asarray(targets["joints_uvd"], float)[:, :2] * size, np.asarray(targets["joints_valid"])
    pixels, _ = decode_25d(np.asarray(targets["joint_coord"], float))
    return pixels, np.asarray(targets["joint_valid"])


def _hands(target):
    if "hand_type" not in target:
        return ""
    right, left = np.asarray(target["hand_type"]) > 0.5
    return {(True, True): "interacting", (True, False): "right", (False, True): "left"}.get((right, left), "no hand")


def loss_curves(history, validation=None, columns=3):
    """Curves of a training's logs, a panel per figure; what spans more than a decade gets a log axis.

    history, validation: CSV files or DataFrames with a column ``step``; figures of the same name (after ``val/``) share
    a panel. Raises InputError when a log has no steps or nothing else.
    """
    logs = {"train": _read_log(history)}
    if validation is not None:
        logs["val"] = _read_log(validation)
    panels = {}
    for stage, log in logs.items():
        for name in log.columns.drop(["step", "epoch"], errors="ignore"):
            panels.setdefault(name.removeprefix(f"{stage}/"), {})[stage] = log[["step", name]].dropna()
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure, places = sheet(3.4 * columns, 2.3 * rows, rows, columns)
    for axes in places.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, (name, curves) in zip(places.flat, panels.items(), strict=False):
        _curves(axes, name, curves)
    return figure


def _read_log(log):
    table = log if isinstance(log, pd.DataFrame) else pd.read_csv(log)
    numbers = table.select_dtypes("number")
    if "step" not in numbers or not set(numbers) - {"step", "epoch"}:
        raise InputError(
            "log" if log is table else log, f"not a training log (columns {list(table.columns)})",
            "give the history.csv or validation.csv that a training wrote", field="step",
        )  # fmt: skip
    return numbers


def _curves(axes, name, curves):
    """curves: {"train" or "val": DataFrame of step and value}."""
    for colour, (stage, points) in zip(palette.CYCLE, curves.items(), strict=False):
        marker = "o" if len(points) < 20 else None
        axes.plot(points["step"], points.iloc[:, 1], marker=marker, ms=3, lw=1.5, color=colour, label=stage)
    values = np.concatenate([points.iloc[:, 1] for points in curves.values()])
    if len(values) and values.min() > 0 and values.max() > 10 * values.min():
        axes.set_yscale("log")
    if len(curves) > 1:
        axes.legend(fontsize=7, frameon=False)
    tidy(axes, title=name, xlabel="step")


def tidy(axes, title="", xlabel="", ylabel=""):
    """The house's plain look for a plot."""
    axes.set_title(literal(title), fontsize=9, color=palette.INK)
    axes.set_xlabel(literal(xlabel), fontsize=8)
    axes.set_ylabel(literal(ylabel), fontsize=8)
    axes.tick_params(labelsize=7, length=2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", lw=0.4, color="#DDDDDD")
    axes.set_axisbelow(True)
