"""Static twins: the states of the inspector and of the browser as pictures, for headless runs, reports and papers.

Their interactive figures go to stand-alone HTML as they are (``Run.figure`` writes both kinds, whole or not at all).
"""

import dataclasses

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.patches import Rectangle

from handlib import render
from handlib.geometry import project
from handlib.viewer import browser, figures, mesh, palette

PIXELS = 480
DISTANCE = 3.2  # of the virtual camera from the middle of the cube it sees, in sides of the cube


def inspector(cases, state):
    """The mesh inspector's state as a matplotlib figure."""
    seen = mesh.view(cases, state)
    K, offset = portrait_camera(seen.limits)
    hand = render.Mesh(seen.hand.verts + offset, seen.hand.faces, colours=_colours(seen, state.colour))
    truth = render.Mesh(seen.truth.verts + offset, seen.truth.faces, colours=np.array(to_rgb(palette.TRUTH)))
    layers = [([hand], 0.55 if state.joints else 1.0)]
    if state.truth:  # over the hand, but beneath colours that are data
        layers.insert(0 if state.colour == "error" else 1, ([truth], 0.4))
    picture = paper()
    for meshes, alpha in layers:
        picture = render.overlay(picture, meshes, K, alpha=alpha, shadows=False)
    figure, ((axes,),) = figures.sheet(5.2, 4.8)
    figures.show_picture(axes, picture, "\n".join(seen.title))
    if state.joints:
        figures.draw_skeleton(axes, project(seen.hand.joints + offset, K))
    if state.colour == "error":
        scale = ScalarMappable(Normalize(0, mesh.error_limit(seen.errors)), palette.ERROR_SCALE)
        figure.colorbar(scale, ax=axes, label="mm", shrink=0.6)
    return figure


def frame(pack, layers, state):
    """The browser's state as a matplotlib figure: annotation, mesh, part mask (what there is of them), and 3D."""
    sample = browser.read(pack, layers, state.frame)
    posed = browser.hands(sample, layers)
    plain = dataclasses.replace(state, mesh=False, parts=False)
    shown = [("annotation", plain)]
    if state.mesh and posed:
        shown.append(("mesh", dataclasses.replace(plain, mesh=True)))
    if state.parts and sample["part_mask_valid"]:
        shown.append(("part mask", dataclasses.replace(plain, parts=True)))
    height, width = sample["image"].shape[:2]
    tall = 3.6
    figure, (panels,) = figures.sheet(len(shown) * (tall * width / height + 0.15) + tall, tall + 0.6, 1, len(shown) + 1)
    figure.suptitle(browser.caption(pack, sample, state), fontsize=9, color=palette.INK)
    for axes, (name, own) in zip(panels, shown, strict=False):
        figures.show_picture(axes, browser.canvas(sample, posed, own), name)
    _draw_annotation(panels[0], sample, state)
    _side_view(panels[-1], sample, posed)
    return figure


def contact_sheet(pack, frames, layers, state=None, columns=4, tile=2.8):
    """Frames of a pack as the browser shows them, side by side. state: what is drawn (its frame is not used)."""
    state = state or browser.State()
    samples = [browser.read(pack, layers, int(number)) for number in frames]
    names = [f"{number}: {browser.kind(sample)}" for number, sample in zip(frames, samples, strict=True)]
    posed = [browser.hands(sample, layers) if state.mesh else {} for sample in samples]

    def decorate(axes, place):
        _draw_annotation(axes, samples[place], state)

    pictures = [browser.canvas(sample, hands, state) for sample, hands in zip(samples, posed, strict=True)]
    return figures.grid(pictures, names, columns, tile, decorate)


def _draw_annotation(axes, sample, state):
    if state.box:
        x, y, w, h = sample["bbox"]
        axes.add_patch(Rectangle((x, y), w, h, fill=False, edgecolor=palette.BOX, linewidth=1.4))
    if state.joints:
        for side, joints in browser.joints_xy(sample).items():
            figures.draw_skeleton(axes, joints, width=1.4, side=side)


def paper():
    return np.full((PIXELS, PIXELS, 3), palette.rgb(palette.PAPER), np.uint8)


def portrait_camera(limits_mm):
    """K (3, 3) and the offset (3,) m that brings the cube of ``mesh.limits`` before that camera, whole and centred."""
    low, high = np.array([limits_mm[axis] for axis in "xyz"]).T / 1000
    side = (high - low).max()
    focal = 1.05 * PIXELS * DISTANCE
    K = np.array([[focal, 0, (PIXELS - 1) / 2], [0, focal, (PIXELS - 1) / 2], [0, 0, 1.0]])
    return K, np.array([0, 0, DISTANCE * side]) - (low + high) / 2


def _colours(seen, colour):
    """Per-vertex RGB 0..1 of the hand under a colouring."""
    hand = seen.hand
    if colour == "error":
        return colormaps[palette.ERROR_SCALE](seen.errors / mesh.error_limit(seen.errors))[:, :3]
    if colour == "parts":
        parts = np.zeros(len(hand.verts), int)
        parts[hand.faces] = hand.parts[:, None]
        return palette.segments(hand.side)[parts] / 255
    return palette.lit(hand.side)


def _side_view(axes, sample, posed):
    """The hands of a sample seen from the camera's right: what its picture cannot show, their depth."""
    turn = np.array([[0, 0, 1.0], [0, 1, 0], [-1, 0, 0]])
    K, offset = portrait_camera(mesh.limits(browser.cloud(sample, posed) @ turn.T))
    meshes = [browser.render_mesh(hand) for hand in posed.values()]
    meshes = [one._replace(verts=one.verts @ turn.T + offset) for one in meshes]
    figures.show_picture(axes, render.overlay(paper(), meshes, K, alpha=1.0), "in 3D, from the camera's right")
    for side, joints in browser.skeletons(sample, posed).items():
        figures.draw_skeleton(axes, project(joints @ turn.T + offset, K), side=side)
