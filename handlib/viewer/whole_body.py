"""How the networks of whole bodies see a person: boxes of hands and face, heat volumes, where features are taken.

A `Look` is what Hand4Whole or OSX answered to a few crops. ``boxes`` sets looks side by side, ``volumes`` and ``hands``
go into one; what OSX's tokens and decoders look at is in `handlib.viewer.attention`.
"""

import dataclasses

import numpy as np
import torch
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle

from handlib.body_joints import BONES65, PARTS137, SMPLX65
from handlib.networks.blocks import person, regions
from handlib.training import targets
from handlib.training.predictions import evaluating
from handlib.viewer import figures, palette
from handlib.viewer.hands import _layer

PARTS = {"lhand": "left hand", "rhand": "right hand", "face": "face"}
CROPS = 192  # pixels of a hand's or a face's cut in a figure
WATCHED = ("Nose", "L_Wrist", "R_Wrist", "Pelvis", "L_Knee", "R_Ankle")
_FINGERS = dict(zip(("Thumb", "Index", "Middle", "Ring", "Pinky"), palette.FINGER.values(), strict=True))


@dataclasses.dataclass(frozen=True)
class Look:
    """What a network answered to N crops, numpy.

    images (N, 3, h, w); volume: cells (D, H, W) of the body's heat volume, hand_volume of a hand's; places (N, 65, 3)
    and truth (N, 65, 3) of SMPLX65 in the body's cells, NaN where unknown; heat (N, 25, D, H, W), sum 1. Of "lhand",
    "rhand", "face": boxes, corners in crop pixels as they are cut (N, 4), true_boxes x, y, w, h (N, 4), NaN where
    unknown, and cuts (N, 3, `CROPS`, `CROPS`) as the network sees them, left hands mirrored. Of hands hand_places (N,
    20, 3) and hand_heat (N, 20, D, H, W) in the cuts. verts (N, 10475, 3) m before the virtual camera. shown: what
    `handlib.viewer.attention` draws.
    """

    method: str
    images: np.ndarray
    volume: tuple
    hand_volume: tuple
    places: np.ndarray
    truth: np.ndarray
    heat: np.ndarray
    boxes: dict
    true_boxes: dict
    cuts: dict
    hand_places: dict
    hand_heat: dict
    verts: np.ndarray
    shown: dict

    @property
    def size(self):
        """Width and height of the crops, pixels."""
        return np.array(self.images.shape[:1:-1])

    def pixels(self, places):
        """Places (…, 2 or 3) in the body's cells -> crop pixels (…, 2)."""
        return np.asarray(places)[..., :2] / self.volume[:0:-1] * self.size

    def in_cut(self, part, number, pixels):
        """Crop pixels (J, 2) -> pixels of a part's cut, mirrored where the cut is."""
        low, high = self.boxes[part][number, :2], self.boxes[part][number, 2:]
        with np.errstate(divide="ignore", invalid="ignore"):  # an untrained box may have no area
            share = (pixels - low) / (high - low)
        return CROPS * (share * [-1, 1] + [1, 0] if part == "lhand" else share)


def look(net, items, device="cpu"):
    """Show Hand4Whole or OSX the crops of some items (`handlib.crops.person`, not turned) -> `Look`."""
    images = torch.from_numpy(np.stack([item["image"] for item in items])).to(device)
    came, asked = [], asked_for(net, items)
    with evaluating(net, torch.device(device)):
        listening = _listen(net, came)
        out = net(images, stages=True)
        shown = _shown(net, out, came)
        if listening is not None:
            listening.remove()
        boxes = {part: out[f"{part}_box_xyxy"] * (net.input.size[0] / person.PERSON[0]) for part in PARTS}
        cuts = {part: regions.roi_align(images, box, (CROPS, CROPS)) for part, box in boxes.items()}
    cuts["lhand"] = cuts["lhand"].flip(3)
    heat, places = (out[f"hand_joint_{name}"].chunk(2) for name in ("hm", "img"))
    numpy = {name: _numpy(value) for name, value in (("heat", out["body_joint_hm"]), ("verts", out["verts"]))}
    return Look(
        method=net.name,
        images=_numpy(images),
        volume=net.input.volume,
        hand_volume=net.hand_volume,
        places=_numpy(out["joints_img"]),
        truth=asked["truth"],
        boxes={part: _numpy(box) for part, box in boxes.items()},
        true_boxes={part: asked[part] for part in PARTS},
        cuts={part: _numpy(cut) for part, cut in cuts.items()},
        hand_places=dict(zip(("lhand", "rhand"), map(_numpy, places), strict=True)),
        hand_heat=dict(zip(("lhand", "rhand"), map(_numpy, heat), strict=True)),
        shown=shown,
        **numpy,
    )


def _numpy(value):
    return value.float().cpu().numpy()


def _listen(net, came):
    """Have ``came`` filled with what comes into the last block of a ViT; None for a network without one."""
    if not hasattr(net, "encoder"):
        return None
    return net.encoder.blocks[-1].register_forward_pre_hook(lambda block, given: came.append(given[0]))


def _shown(net, out, came):
    """What OSX attends to; {} for Hand4Whole."""
    if not came:
        return {}
    tokens, patches = out["task_tokens"], out["img_feat"].flatten(2).mT
    attention = net.encoder.blocks[-1].attention(came[0])[:, :, : tokens.shape[1], tokens.shape[1] :]
    cosine = torch.nn.functional.normalize(tokens, dim=2) @ torch.nn.functional.normalize(patches, dim=2).mT
    cells = out["img_feat"].shape[2:]
    found = {"attention": attention.unflatten(3, cells), "similarity": cosine.unflatten(2, cells)}
    for part in ("hand", "face"):
        if f"{part}_looks" in out:
            names = {"looks": "looks", "weights": "looks_weights", "queries": "decoder_reference_points"}
            found |= {f"{part}_{ours}": out[f"{part}_{theirs}"] for ours, theirs in names.items()}
    return {name: _numpy(value) for name, value in found.items()}


def asked_for(net, items):
    """What the targets of some items ask: ``truth`` (N, 65, 3), its depth that of the fit where joints are annotated in
    2D alone, and boxes by part (N, 4), see `Look`.
    """
    names = items[0]["targets"]
    device = net.layer.faces.device
    made = {name: torch.from_numpy(np.stack([item["targets"][name] for item in items])).to(device) for name in names}
    made = {name: _numpy(value) for name, value in targets.completed(net, made).items()}
    known, unit = slice(0, PARTS137["face"].start), np.array(net.input.size) / net.input.volume[:0:-1]
    truth = np.where(made["joint_trunc"][:, known] > 0, made["joint_img"][:, known], np.nan)
    fitted = np.where(made["smplx_joint_trunc"][:, known, 0] > 0, made["smplx_joint_img"][:, known, 2], np.nan)
    truth[..., 2] = np.where(made["is_3D"][:, None] > 0, truth[..., 2], fitted)
    found = {"truth": truth}
    for part in PARTS:
        centre, size = (made[f"{part}_bbox_{what}"] * unit for what in ("center", "size"))
        box = np.concatenate([centre - size / 2, size], 1)
        found[part] = np.where(made[f"{part}_bbox_valid"][:, None] > 0, box, np.nan)
    return found


# ------------------------------------------------------------------------------------------------- several looks


def boxes(looks, number=0):
    """Crop ``number`` in several looks ({caption: `Look`}), a row each: the boxes found (lines) and the true ones
    (dashed) on the picture, and what is cut out by them, with the joints found there; rings: the true ones.
    """
    figure, panels = figures.sheet(10.4, 2.9 * len(looks), len(looks), 2 + len(PARTS))
    for line, (caption, seen) in zip(panels, looks.items(), strict=True):
        figures.show_picture(line[0], seen.images[number], caption)
        for part in PARTS:
            _outline(line[0], seen.boxes[part][number], palette.BODY[part])
            x, y, w, h = seen.true_boxes[part][number]
            if np.isfinite(x):
                line[0].add_patch(Rectangle((x, y), w, h, fill=False, ec="white", lw=1.6))
                line[0].add_patch(Rectangle((x, y), w, h, fill=False, ec=palette.BODY[part], lw=1.2, ls=(0, (3, 2))))
        figures.show_picture(line[1], seen.images[number], "joints: found, and true (green)")
        skeleton(line[1], seen.pixels(seen.truth[number]), palette.TRUTH)
        skeleton(line[1], seen.pixels(seen.places[number]), palette.PREDICTION)
        for axes, (part, words) in zip(line[2:], PARTS.items(), strict=True):
            figures.show_picture(axes, seen.cuts[part][number], words + (" (mirrored)" if part == "lhand" else ""))
            _mark(axes, seen, number, part)
            for spine in axes.spines.values():
                spine.set(color=palette.BODY[part], linewidth=2.5)
            axes.set_axis_on()
            axes.set_xticks([])
            axes.set_yticks([])
    return figure


def _outline(axes, corners, colour):
    low, high = np.minimum(corners[:2], corners[2:]), np.maximum(corners[:2], corners[2:])
    for shade, width in (("white", 3.0), (colour, 1.8)):
        axes.add_patch(Rectangle(low, *(high - low), fill=False, ec=shade, lw=width))


def _mark(axes, seen, number, part):
    """The joints that are found in a hand's cut, and the true ones, as far as they are in it."""
    if part not in seen.hand_places:
        return
    found = seen.hand_places[part][number][:, :2] / seen.hand_volume[:0:-1] * CROPS
    colours = [colour for colour in _FINGERS.values() for _ in range(4)]
    axes.scatter(*found.T, s=10, c=colours, edgecolors="white", linewidths=0.5, zorder=6)
    rows = PARTS137[part]
    true = seen.in_cut(part, number, seen.pixels(seen.truth[number, rows]))
    inside = (np.isfinite(true) & (true >= 0) & (true <= CROPS)).all(1)
    kept = [colour for colour, yes in zip(colours, inside, strict=True) if yes]
    figures.rings(axes, true[inside], kept, 0.022 * CROPS)


def skeleton(axes, joints, colour, width=1.3):
    """Bones of SMPLX65 (65, 2) px over a picture, NaN left out."""
    joints = np.asarray(joints, float)
    segments = [joints[list(bone)] for bone in BONES65 if np.isfinite(joints[list(bone)]).all()]
    axes.add_collection(LineCollection(segments, colors=palette.INK, linewidths=width + 1, alpha=0.5))
    axes.add_collection(LineCollection(segments, colors=colour, linewidths=width))


# ----------------------------------------------------------------------------------------------------- one look


def volumes(seen, number=0, joints=WATCHED):
    """Where the body's heat volume puts some joints: above from the front, summed over depth, with the cells that the
    joint's features are taken from (as opaque as they weigh); below from the side. Dots: the centre of mass, which is
    the answer; rings: the truth.
    """
    figure, panels = figures.sheet(1.75 * len(joints) + 0.2, 4.7, 2, len(joints))
    depth, height, width = seen.volume
    for (front, side), joint in zip(panels.T, joints, strict=True):
        row = SMPLX65.joints.index(joint)
        heat, place, true = seen.heat[number, row], seen.places[number, row], seen.truth[number, row]
        figures.show_pale(front, seen.images[number], joint)
        _layer(front, 0.8 * excess(heat.sum(0)), palette.BODY["body"], *seen.size)
        _taken(front, seen, place)
        front.scatter(*seen.pixels(place), s=26, c=palette.PREDICTION, edgecolors="white", linewidths=0.9, zorder=6)
        figures.rings(front, [seen.pixels(true)], [palette.TRUTH], 0.03 * seen.size[1])
        profile = heat.sum(2).T
        side.imshow(
            excess(profile), cmap="Blues", vmin=0, vmax=1, aspect="auto", extent=(-0.5, depth - 0.5, height - 0.5, -0.5)
        )
        side.scatter(place[2], place[1], s=26, c=palette.PREDICTION, edgecolors="white", linewidths=0.9, zorder=6)
        side.scatter(true[2], true[1], s=60, facecolors="none", edgecolors=palette.TRUTH, linewidths=1.6, zorder=5)
        figures.tidy(side, "", "cells of depth, near to far", "rows" if front is panels[0, 0] else "")
        side.grid(visible=False)
    words = f"the body's volume, {depth} x {height} x {width} cells; squares: where the joint's features are taken"
    figures.heading(figure, words)
    return figure


def excess(heat):
    """A map's excess over one that is the same everywhere, up to 1: what hardly differs from that stays pale."""
    alike = heat.mean()
    return np.clip((heat - alike) / max(heat.max() - alike, alike), 0, 1)


def _taken(axes, seen, place):
    """The four cells of the feature map between which a place lies, as opaque as they weigh; cell k stands for the
    pixels from k to k + 1 cells.
    """
    cell = seen.size / seen.volume[:0:-1]
    low = np.clip(np.floor(place[:2]), 0, np.array(seen.volume[:0:-1]) - 1)
    part = place[:2] - low
    for right in (0, 1):
        for below in (0, 1):
            share = abs(1 - right - part[0]) * abs(1 - below - part[1])
            corner = (low + [right, below]) * cell
            axes.add_patch(
                Rectangle(corner, *cell, fc="none", ec=palette.BOX, lw=1.6, alpha=float(np.clip(share, 0, 1)))
            )


def hands(seen, number=0, part="rhand"):
    """The heat volume of a hand's own cut: a panel for each finger, its four joints' heat summed over depth, found
    (dots) and true (rings); in Hand4Whole the squares are the knuckles, whose features turn the wrist.
    """
    figure, (panels,) = figures.sheet(2.2 * len(_FINGERS), 2.6, 1, len(_FINGERS))
    rows = PARTS137[part]
    truth = seen.in_cut(part, number, seen.pixels(seen.truth[number, rows]))
    for finger, (axes, (name, colour)) in enumerate(zip(panels, _FINGERS.items(), strict=True)):
        own = slice(4 * finger, 4 * finger + 4)
        heat = np.stack([excess(one.sum(0)) for one in seen.hand_heat[part][number, own]])
        figures.show_pale(axes, seen.cuts[part][number], name.lower().replace("pinky", "little"))
        _layer(axes, 0.8 * heat.max(0), colour, CROPS, CROPS)
        found = seen.hand_places[part][number, own, :2] / seen.hand_volume[:0:-1] * CROPS
        axes.plot(*found.T, color="white", lw=1.0, zorder=5)
        knuckle = seen.method == "hand4whole" and finger > 0
        axes.scatter(*found[:1].T, s=34, c=colour, marker="s" if knuckle else "o", edgecolors="white", zorder=6)
        axes.scatter(*found[1:].T, s=26, c=colour, edgecolors="white", linewidths=0.9, zorder=6)
        known = np.isfinite(truth[own]).all(1)
        figures.rings(axes, truth[own][known], [colour] * known.sum(), 0.03 * CROPS)
    mirrored = ", mirrored" if part == "lhand" else ""
    figures.heading(figure, f"{PARTS[part]}{mirrored}: its own volume, seen from the front")
    return figure


def batch_sheet(net, items, columns=4, tile=2.6):
    """What the network sees, and what it is asked for: joints, and the boxes of hands and face."""
    asked = asked_for(net, items)
    truth = asked["truth"][..., :2] / net.input.volume[:0:-1] * net.input.size

    def decorate(axes, place):
        skeleton(axes, truth[place], palette.TRUTH)
        for part in PARTS:
            x, y, w, h = asked[part][place]
            if np.isfinite(x):
                axes.add_patch(Rectangle((x, y), w, h, fill=False, ec=palette.BODY[part], lw=1.6))

    return figures.grid([item["image"] for item in items], None, columns, tile, decorate)
