"""The dataset browser: one frame of a pack, in its picture and in 3D; pure ``(pack, layers, state) -> plotly figure``.
Of hands; `handlib.viewer.persons` has the same functions for whole people, and ``handlib.viewer.of(pack)`` is the one
of the two that a pack needs.

Left the picture with its box, projected joints, mesh overlay and part mask; right the same hands in 3D, as meshes where
the data set has meshes or MANO fits and as skeletons where it has none (real InterHand2.6M frames without NeuralAnnot).
"""

import base64
import dataclasses
import functools
from pathlib import Path

import cv2
import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from handlib import bodies, inputs, render
from handlib.geometry import centred_square, project
from handlib.viewer import figures, mesh, palette

PART_OPACITY = 0.7
NOTHING = mesh.Hand("right", np.zeros((1, 3)), np.zeros((1, 3), int), np.zeros((21, 3)), np.zeros(1, int))


@dataclasses.dataclass(frozen=True)
class State:
    """What the user has set: which sample of the pack, and what is drawn over its picture."""

    frame: int = 0
    box: bool = True
    joints: bool = True
    mesh: bool = False
    parts: bool = False


def bodies_folder(data):
    """The data root's ``bodies/``, None where there is none: the free hand then."""
    folder = Path(data) / "bodies"
    inputs.note("tree", folder)
    return folder if folder.is_dir() else None


def layers(data):
    """{"right": layer, "left": layer}: MANO where the data root has ``bodies/``, else the free hand; they say which."""
    return {side: bodies.load(bodies_folder(data), f"mano_{side}") for side in mesh.SIDES}


def read(pack, layers, frame):
    """Sample ``frame`` of a pack for these layers: its MANO fits count only where they are of the same body model.

    MANO's parameters on the free hand would give a wrong mesh. ``fits_drawn`` says why there are none. Camera and box
    are those of the picture that the pack has, which may be a part of the data set's.
    """
    sample = _of_its_picture(pack[frame])
    of_mano = pack.manifest["fits_of"] == "MANO"
    if not sample["mano_valid"].any():
        return sample | {"fits_drawn": "no MANO fit"}
    if any(layer.is_free == of_mano for layer in layers.values()):
        missing = "fits of MANO, whose files are not here" if of_mano else f"fits of {pack.manifest['fits_of']}"
        return sample | {"mano_valid": np.zeros_like(sample["mano_valid"]), "fits_drawn": missing}
    return sample | {"fits_drawn": "mesh: MANO" if of_mano else "mesh: free hand"}


def _of_its_picture(sample):
    """The sample with what a data set without part masks, or without 3D joints beyond the picture's, leaves out; of a
    packed window also with its own camera and box, and paper where nothing was packed.
    """
    sample = {"part_mask_valid": np.False_, "joints3d_valid": sample["joints_valid"]} | sample
    if "window" not in sample:
        return sample
    corner = sample["window"][:2]
    K, bbox, picture = sample["K"].copy(), sample["bbox"].copy(), sample["image"].copy()
    centre, _ = centred_square(bbox)
    y, x = np.indices(picture.shape[:2]) + corner[::-1, None, None] - centre[::-1, None, None]
    picture[x**2 + y**2 > sample["reach"] ** 2] = palette.rgb(palette.PAPER)
    K[:2, 2] -= corner
    bbox[:2] -= corner
    return sample | {"K": K, "bbox": bbox, "image": picture}


def has_masks(pack):
    """Whether a pack has part masks."""
    return "part_mask" in pack.manifest["images"]


def kind(sample):
    """What a sample (or a row of a pack's index) shows, in a word or two: which hands, or what is done with what."""
    return f"{sample['object']}, {sample['intent']}" if "intent" in sample else sample["hands"]


def meshes(sample, layers):
    """The sample's hands that have a MANO fit, posed in its camera frame: {"right": mesh.Hand, "left": …}."""
    posed = {}
    for hand in np.flatnonzero(sample["mano_valid"]):
        side = mesh.side_name(sample, hand)
        if "verts_cam" in sample:
            posed[side] = mesh.annotated(sample, hand, layers[side])
        else:
            posed[side] = mesh.pose(mesh.from_sample(sample, hand, layers[side]))
    return posed


def skeletons(sample, posed):
    """Joints (21, 3) m of the hands that have no mesh, NaN where unknown: {"right": …, "left": …}."""
    found = {}
    for hand, (joints, valid) in enumerate(zip(sample["joints_cam"], sample["joints3d_valid"], strict=True)):
        side = mesh.side_name(sample, hand)
        if valid.any() and side not in posed:
            found[side] = np.where(valid[:, None], joints, np.nan)
    return found


def cloud(sample, posed):
    """Every point (N, 3) m of the frame that is drawn in 3D."""
    joints = sample["joints_cam"][sample["joints3d_valid"]]
    cloud = np.concatenate([joints, *(hand.verts for hand in posed.values())])
    return cloud if len(cloud) else np.zeros((1, 3))


def joints_xy(sample):
    """Joints projected into the picture, {side: (21, 2) px}, house order; NaN where not annotated in this picture."""
    pixels = np.where(sample["joints_valid"][..., None], project(sample["joints_cam"], sample["K"]), np.nan)
    return {mesh.side_name(sample, hand): pixels[hand] for hand in range(len(pixels))}


def canvas(sample, posed, state):
    """The picture with the mesh overlay and the part mask that ``state`` asks for, uint8 (h, w, 3)."""
    picture = sample["image"]
    if state.mesh and posed:
        picture = render.overlay(picture, [render_mesh(hand) for hand in posed.values()], sample["K"])
    if state.parts and sample["part_mask_valid"]:
        mask = sample["part_mask"]
        tinted = (1 - PART_OPACITY) * picture + PART_OPACITY * palette.PARTS[mask]
        picture = np.where((mask > 0)[..., None], tinted.round(), picture).astype(np.uint8)
    return picture


def render_mesh(hand):
    """A hand in its side's colour, wrist closed, as ``render`` takes it."""
    return render.Mesh(*render.seal(hand.verts, hand.faces), colours=palette.lit(hand.side))


def closely(sample):
    """The sample as a small picture of it is to show it: as it is."""
    return sample


def annotate(axes, sample, state):
    """Draw the box and the joints that ``state`` asks for over a picture on matplotlib axes."""
    if state.box:
        figures.outline(axes, sample["bbox"], palette.BOX)
    if state.joints:
        for side, joints in joints_xy(sample).items():
            figures.draw_skeleton(axes, joints, width=1.4, side=side)


def draw_joints(axes, joints, side):
    """Joints of `skeletons`, projected (21, 2) px, on matplotlib axes."""
    figures.draw_skeleton(axes, joints, side=side)


def caption(pack, sample, state):
    """What the frame is, and what it has not: no picture is silently less than it was asked to be."""
    drawn = sample["fits_drawn"] + ("" if sample["mano_valid"].any() else ": 3D joints only")
    facts = [f"{state.frame + 1} of {len(pack)}: {sample['key']}", kind(sample), drawn]
    if state.parts and not sample["part_mask_valid"]:
        facts.append("no part mask")
    return " · ".join(facts)


def figure(pack, layers, state):
    """The figure of a state. layers: {"right": layer, "left": layer} of ``bodies.load``."""
    return assembled(_content(pack, layers, state), _TRACES)


def update(shown, pack, layers, state):
    """Bring ``shown`` (made by ``figure``) to ``state`` in one message."""
    bring(shown, _content(pack, layers, state), _TRACES)


def assembled(content, traces):
    """A figure of {name: (maker, column)} ``traces``; content: their properties, title, and limits of the axes."""
    result = make_subplots(
        1, 2, specs=[[{"type": "xy"}, {"type": "scene"}]], column_widths=[0.5, 0.5], horizontal_spacing=0.01
    )
    for name, (make, column) in traces.items():
        result.add_trace(make(**content[name]), 1, column)
    for axis, extra in (("xaxis", {}), ("yaxis", {"scaleanchor": "x"})):
        result.layout[axis].update(visible=False, constrain="domain", range=content["axes"][axis], **extra)
    result.update_layout(
        scene=mesh.scene(content["scene"], distance=1.7), title=content["title"], height=520, showlegend=False,
        uirevision="keep", margin=dict(l=0, r=0, t=40, b=0), paper_bgcolor="white", plot_bgcolor="white",
        font=dict(color=palette.INK),
    )  # fmt: skip
    return result


def bring(shown, content, traces):
    """Bring a figure of `assembled` to other content in one message."""
    with shown.batch_update():
        for trace, name in zip(shown.data, traces, strict=True):
            mesh.change(trace, content[name])
        for axis, limits in content["axes"].items():
            shown.layout[axis].range = limits
        for axis, limits in content["scene"].items():
            shown.layout.scene[f"{axis}axis"].range = limits
        shown.layout.title.text = content["title"]["text"]


def _content(pack, layers, state):
    """Everything of a figure that depends on the state: {trace: its properties}, title and axis limits."""
    sample = read(pack, layers, state.frame)
    posed = meshes(sample, layers)
    content = framed(canvas(sample, posed, state), caption(pack, sample, state), cloud(sample, posed))
    content["box"] = dict(corners(sample["bbox"]), visible=state.box)
    loose = skeletons(sample, posed)
    flat = joints_xy(sample)
    for side in mesh.SIDES:
        pixels = flat.get(side, np.full((21, 2), np.nan))
        content[f"joints {side}"] = dict(_path(pixels), visible=state.joints and bool(np.isfinite(pixels).any()))
        content[f"mesh {side}"] = _mesh_values(posed.get(side))
        joints = loose.get(side, np.full((21, 3), np.nan))
        content[f"skeleton {side}"] = dict(mesh.skeleton_values(joints), visible=side in loose)
    return content


def framed(picture, words, points):
    """Content of `assembled` that all samples have; points (N, 3) m: what the scene is to hold."""
    h, w = picture.shape[:2]
    return {
        "picture": dict(source=data_uri(picture)),
        "title": dict(text=mesh.literal(words), font=dict(size=13), x=0.01, y=0.97),
        "axes": {"xaxis": (-0.5, w - 0.5), "yaxis": (h - 0.5, -0.5)},
        "scene": mesh.limits(points),
    }


def data_uri(picture):
    """uint8 (h, w, 3) RGB as JPEG, or (h, w, 4) RGBA as PNG, in the form in which a page carries it."""
    opaque = picture.shape[2] == 3
    coded = np.ascontiguousarray(picture[..., ::-1] if opaque else picture[..., [2, 1, 0, 3]])
    ok, data = cv2.imencode(".jpg" if opaque else ".png", coded, [cv2.IMWRITE_JPEG_QUALITY, 92] if opaque else [])
    if not ok:
        raise ValueError(f"a picture of shape {picture.shape} cannot be encoded")
    return f"data:image/{'jpeg' if opaque else 'png'};base64," + base64.b64encode(data).decode()


def corners(bbox):
    """x, y, w, h -> a line about the box."""
    x, y, w, h = np.asarray(bbox, float)
    return dict(x=np.array([x, x + w, x + w, x, x]), y=np.array([y, y, y + h, y + h, y]))


def _path(joints):
    """(21, 2) px -> points of one line that visits every finger from the wrist."""
    x, y = mesh.along_fingers(joints)
    return dict(x=x, y=y)


def _mesh_values(hand):
    shown = NOTHING if hand is None else hand
    return dict(mesh.mesh_values(shown), **mesh.coloured(shown, "skin"), visible=hand is not None)


def picture_trace(**values):
    """The trace of a picture."""
    return go.Image(values, hoverinfo="skip")


def outline(colour=palette.BOX, **values):
    """The trace of a box."""
    return go.Scatter(values, mode="lines", line=dict(color=colour, width=2), hoverinfo="skip")


def _bones(side, **values):
    """2D joints and bones. A plain line has one colour, so the fingers' colours are the markers'."""
    return go.Scatter(
        values, mode="lines+markers", line=dict(color="rgba(255,255,255,0.75)", width=1.6), connectgaps=False,
        marker=dict(color=mesh.path_colours(side), size=6, line=dict(color=palette.INK, width=0.5)),
        text=mesh.path_names(side),
        hovertemplate="%{text}<br>%{x:.1f}, %{y:.1f} px<extra></extra>",
    )  # fmt: skip


_TRACES = {
    "picture": (picture_trace, 1),
    "box": (outline, 1),
    **{f"joints {side}": (functools.partial(_bones, side), 1) for side in mesh.SIDES},
    **{f"mesh {side}": (mesh.solid_mesh, 2) for side in mesh.SIDES},
    **{f"skeleton {side}": (functools.partial(mesh.skeleton, side), 2) for side in mesh.SIDES},
}
