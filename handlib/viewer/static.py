"""Static twins: the states of the inspector and of the browser as pictures, for headless runs, reports and papers.

Their interactive figures go to stand-alone HTML as they are (``Run.figure`` writes both kinds, whole or not at all).
"""

import dataclasses

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb

from handlib import render, viewer
from handlib.geometry import project
from handlib.viewer import body_model, browser, figures, mesh, palette

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


def model(layers, sample):
    """{name: figure} of the model that a sample's meshes are of, as `widgets.model` shows it; "inspector_3d" is
    plotly's, the others are matplotlib's.
    """
    if "person" in layers:
        case = body_model.case(sample, layers)
        moved = body_model.figure(case, body_model.State(hands=(2.0,)))
        return {"inspector_moves": body_model.sheet(case), "inspector_3d": moved}
    cases = mesh.cases(layers, sample)
    side = next(iter(cases))
    bent = mesh.State(side=side, colour="error", truth=True, pose=(1.5, -1.0, 0.0, 0.0, 0.0, 0.0))
    states = {"parts": mesh.State(side=side, colour="parts"), "error": bent, "joints": mesh.State(side, joints=True)}
    made = {f"inspector_{name}": inspector(cases, state) for name, state in states.items()}
    return made | {"inspector_3d": mesh.figure(cases, bent)}


def frame(pack, layers, state):
    """The browser's state as a matplotlib figure: annotation, mesh, part mask (what there is of them), and 3D."""
    shows = viewer.of(pack)
    sample = shows.read(pack, layers, state.frame)
    posed = shows.meshes(sample, layers)
    plain = dataclasses.replace(state, mesh=False, parts=False)
    shown = [("annotation", plain)]
    if state.mesh and posed:
        shown.append(("mesh", dataclasses.replace(plain, mesh=True)))
    if state.parts and shows.has_masks(pack) and sample["part_mask_valid"]:
        shown.append(("part mask", dataclasses.replace(plain, parts=True)))
    height, width = sample["image"].shape[:2]
    tall = 3.6
    figure, (panels,) = figures.sheet(len(shown) * (tall * width / height + 0.15) + tall, tall + 0.6, 1, len(shown) + 1)
    figures.heading(figure, shows.caption(pack, sample, state))
    for axes, (name, own) in zip(panels, shown, strict=False):
        figures.show_picture(axes, shows.canvas(sample, posed, own), name)
    shows.annotate(panels[0], sample, state)
    _side_view(panels[-1], shows, sample, posed)
    return figure


def contact_sheet(pack, frames, layers, state=None, columns=4, tile=2.8):
    """Frames of a pack as the browser shows them, side by side. state: what is drawn (its frame is not used)."""
    state, shows = state or browser.State(), viewer.of(pack)
    samples = [shows.closely(shows.read(pack, layers, int(number))) for number in frames]
    names = [f"{number}: {shows.kind(sample)}" for number, sample in zip(frames, samples, strict=True)]
    posed = [shows.meshes(sample, layers) if state.mesh else {} for sample in samples]

    def decorate(axes, place):
        shows.annotate(axes, samples[place], state)

    pictures = [shows.canvas(sample, meshes, state) for sample, meshes in zip(samples, posed, strict=True)]
    return figures.grid(pictures, names, columns, tile, decorate)


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


def _side_view(axes, shows, sample, posed):
    """What a sample shows seen from the camera's right: what its picture cannot show, depth."""
    turn = np.array([[0, 0, 1.0], [0, 1, 0], [-1, 0, 0]])
    K, offset = portrait_camera(mesh.limits(shows.cloud(sample, posed) @ turn.T))
    meshes = [shows.render_mesh(one) for one in posed.values()]
    meshes = [one._replace(verts=one.verts @ turn.T + offset) for one in meshes]
    loose = shows.skeletons(sample, posed)
    words = "in 3D, from the camera's right" if meshes or loose else "nothing is known in 3D"
    figures.show_picture(axes, render.overlay(paper(), meshes, K, alpha=1.0), words)
    for side, joints in loose.items():
        shows.draw_joints(axes, project(joints @ turn.T + offset, K), side)
