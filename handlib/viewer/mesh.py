"""The mesh inspector: one hand that is turned, bent and compared; pure ``(cases, state) -> plotly figure`` functions.

``figure`` makes the picture of a state; ``update`` brings a figure that ``figure`` made (a FigureWidget, as a rule) to
another state in one message, by swapping vertices and colours. Drawn in millimetres in the camera frame (x right,
y down, z forward) and seen from the camera's place, so that a hand stands as it does in the picture.
"""

import dataclasses
from html import escape
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
import torch

from handlib import bodies
from handlib.fields import HAND21
from handlib.viewer import palette

SIDES = ("right", "left")
COLOURS = ("skin", "parts", "error")
POSE_SLIDERS, SHAPE_SLIDERS = 6, 10
ERROR_LIMITS_MM = (2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)
LIGHT = dict(ambient=0.42, diffuse=0.7, specular=0.25, roughness=0.55, fresnel=0.15)
# Over the viewer's left shoulder. plotly takes these for clip coordinates of the camera, where a z of hardly more than
# 1 is far behind the viewer (and x and y count the other way). It must be far: the point that comes out is taken for a
# direction, though meshes stand where their camera sees them and not about the origin.
LIGHT_PLACE = dict(x=1.2, y=-2, z=1.0005)
# One line that visits every finger from the wrist; -1 lifts the pen.
PATH = [joint for finger in range(5) for joint in (0, *range(1 + 4 * finger, 5 + 4 * finger), -1)]


@dataclasses.dataclass(frozen=True)
class State:
    """What the user has set. ``pose``: added coefficients of the model's hand components; ``shape``: added shape."""

    side: str = "right"
    pose: tuple = (0.0,) * POSE_SLIDERS
    shape: tuple = (0.0,) * SHAPE_SLIDERS
    colour: str = "skin"  # one of COLOURS
    truth: bool = False  # lay the ground truth over it
    joints: bool = False
    align: bool = True  # compare with the wrists laid together

    def __post_init__(self):
        if self.side not in SIDES:
            raise ValueError(f"side is 'right' or 'left', not {self.side!r}")
        if self.colour not in COLOURS:
            raise ValueError(f"colour is one of {', '.join(COLOURS)}, not {self.colour!r}")


@dataclasses.dataclass(frozen=True, eq=False)
class Hand:
    """A posed hand. verts (V, 3) and joints (21, 3) m, camera frame; faces (F, 3); parts (F,) MANO joint of a face."""

    side: str
    verts: np.ndarray
    faces: np.ndarray
    joints: np.ndarray
    parts: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A hand to inspect: its layer, where the sliders start, how world becomes view, and what it is compared with.

    pose (48,) axis-angle from the mean pose, shape (10,), transl (3,) m; x_view = rotation @ x + offset.
    ``truth`` None compares with the starting hand itself.
    """

    layer: torch.nn.Module
    side: str
    pose: np.ndarray
    shape: np.ndarray
    transl: np.ndarray
    rotation: np.ndarray
    offset: np.ndarray
    truth: Hand | None = None
    name: str = ""


def cases(layers, sample=None):
    """What there is to inspect, by side: the sample's hands where it has MANO fits, the mean hand where it has none.

    layers: {"right": layer, "left": layer} of ``bodies.load``; sample: as ``browser.read`` gives it. Hands in view come
    first. The title of every figure says which of the two it is.
    """
    found = {side: rest(layer, side) for side, layer in layers.items()}
    if sample is None:
        return found
    in_view = [side_name(sample, hand) for hand in np.flatnonzero(sample["hand_type"])]
    found = {side: found[side] for side in sorted(found, key=lambda side: side not in in_view)}
    for hand, fitted in enumerate(sample["mano_valid"]):
        side = side_name(sample, hand)
        if fitted:
            found[side] = from_sample(sample, hand, layers[side])
        else:
            why = sample.get("fits_drawn", "no MANO fit")
            found[side] = dataclasses.replace(found[side], name=f"mean pose (this frame: {why})")
    return found


def rest(layer, side):
    """The mean hand, turned so that its fingers point up and its palm faces the viewer."""
    case = Case(layer, side, np.zeros(48), np.zeros(10), np.zeros(3), np.eye(3), np.zeros(3), name="mean pose")
    rotation = _upright(pose(case).joints, side)
    return dataclasses.replace(case, rotation=rotation)


def from_sample(sample, hand, layer):
    """Hand number ``hand`` of a sample, in its camera frame. Raises ValueError when the hand has no MANO fit."""
    if not sample["mano_valid"][hand]:
        raise ValueError(f"{sample['key']}: hand {hand} has no MANO fit")
    if "transl_world" not in sample:
        return _from_camera_pose(sample, hand, layer)
    rotation = np.asarray(sample["cam_rot"])
    return Case(
        layer, side_name(sample, hand), sample["pose_from_mean"][hand], sample["shape"][hand],
        sample["transl_world"][hand], rotation, -rotation @ sample["cam_pos"], name=str(sample["key"]),
    )  # fmt: skip


def _from_camera_pose(sample, hand, layer):
    """The same where the pose, whole or from the mean, is in the camera's frame, and the wrist says where it is."""
    whole = "pose_flat" in sample
    offsets = np.array(sample["pose_flat" if whole else "pose_from_mean"][hand], float)
    offsets[3:] -= whole * layer.hands_mean.double().numpy()
    case = Case(
        layer, side_name(sample, hand), offsets, sample["shape"][hand], np.zeros(3), np.eye(3), np.zeros(3),
        name=str(sample["key"]),
    )  # fmt: skip
    return dataclasses.replace(case, transl=sample["joints_cam"][hand, 0] - pose(case).joints[0])


def annotated(sample, hand, layer):
    """Hand number ``hand`` of a sample that has its vertices: as annotated, whatever its parameters would give."""
    faces, parts = layer.faces.numpy(), layer.part_labels("faces")
    return Hand(side_name(sample, hand), sample["verts_cam"][hand], faces, sample["joints_cam"][hand], parts)


def side_name(sample, hand):
    return SIDES[int(sample["side"][hand])]


def _upright(joints, side):
    """Rotation that brings the middle finger's base above the wrist and the palm towards the viewer."""
    up = joints[9] - joints[0]
    across = joints[5] - joints[17]  # from the little finger's base to the index finger's
    normal = np.cross(up, across) * (1 if side == "right" else -1)
    y = -up / np.linalg.norm(up)
    z = normal - y * (normal @ y)
    z /= np.linalg.norm(z)
    return np.stack([np.cross(y, z), y, z])


@torch.no_grad()
def pose(case, state=None):
    """The hand of a case with the sliders of ``state`` added (None: none)."""
    layer = case.layer
    rotvecs, shape = np.array(case.pose, float), np.array(case.shape, float)
    if state is not None:
        rotvecs[3:] += np.asarray(state.pose) @ layer.components[: len(state.pose)].numpy()
        shape[: len(state.shape)] += state.shape
    out = layer(pose=rotvecs, shape=shape, transl=case.transl, pose_kind="rotvec", mean_added=False)
    joints = bodies.joints21(out["verts"], out["joints"])
    verts, joints = (points.numpy() @ case.rotation.T + case.offset for points in (out["verts"], joints))
    return Hand(case.side, verts, layer.faces.numpy(), joints, layer.part_labels("faces"))


def figure(cases, state):
    """The figure of a state. cases: {"right": Case, "left": Case} (one of them is enough for its own side)."""
    content = _content(cases, state)
    result = go.Figure([make(**content[name]) for name, make in _TRACES.items()])
    result.update_layout(
        scene=scene(content["scene"]), title=content["title"], uirevision="keep", height=560, showlegend=False,
        margin=dict(l=0, r=0, t=56, b=0), paper_bgcolor="white", font=dict(color=palette.INK),
    )  # fmt: skip
    return result


def update(shown, cases, state):
    """Bring ``shown`` (made by ``figure``) to ``state``: one message, only what has changed."""
    content = _content(cases, state)
    with shown.batch_update():
        for trace, name in zip(shown.data, _TRACES, strict=True):
            change(trace, content[name])
        shown.layout.title.text = content["title"]["text"]
        for axis, limits in content["scene"].items():
            shown.layout.scene[f"{axis}axis"].range = limits


def change(trace, values):
    """Set the properties of a trace that differ from what it has."""
    for name, value in values.items():
        if not np.array_equal(trace[name], value):
            trace[name] = value


class View(NamedTuple):
    """What a state shows: the posed hand, what it is compared with (wrists laid together if so asked), the distance of
    every vertex (V,) mm, two lines of title, and the limits (mm) of the scene around it."""

    hand: Hand
    truth: Hand
    errors: np.ndarray
    title: tuple
    limits: dict


def view(cases, state):
    """(cases, state) -> View. Raises KeyError when the state's side is not among the cases."""
    if state.side not in cases:
        raise KeyError(f"there is no {state.side} hand here, only: {', '.join(cases)}")
    case = cases[state.side]
    hand, start = pose(case, state), pose(case)
    truth = case.truth or start
    fixed = np.concatenate([start.verts, truth.verts])
    if state.align:
        shift = hand.joints[0] - truth.joints[0]
        truth = dataclasses.replace(truth, verts=truth.verts + shift, joints=truth.joints + shift)
    errors = 1000 * np.linalg.norm(hand.verts - truth.verts, axis=1)
    source = "free hand" if case.layer.is_free else "MANO"
    against = "ground truth" if case.truth else "where the sliders start"
    title = (
        f"{state.side} hand · {source} · {case.name}",
        f"distance to {against}: mean {errors.mean():.1f} mm, worst {errors.max():.1f} mm",
    )
    return View(hand, truth, errors, title, limits(np.concatenate([fixed, hand.verts]), fixed))


def literal(words):
    """Words that may come from a file, for plotly: their tags are shown, not obeyed, and dollars begin no formula."""
    return escape(words, quote=False).replace("$", "&#36;")


def _content(cases, state):
    """Everything of a figure that depends on the state: {trace: its properties}, title and axis limits."""
    seen = view(cases, state)
    solid = 0.35 if state.joints else 1.0
    return {
        "hand": dict(mesh_values(seen.hand), opacity=solid, **coloured(seen.hand, state.colour, seen.errors)),
        "truth": dict(mesh_values(seen.truth), visible=state.truth, opacity=ghost_opacity(state)),
        "skeleton": dict(skeleton_values(seen.hand.joints), visible=state.joints),
        "title": dict(text="{}<br><sub>{}</sub>".format(*map(literal, seen.title)), font=dict(size=13), x=0.02, y=0.96),
        "scene": seen.limits,
    }


def ghost_opacity(state):
    """Of the ground truth laid over: fainter over error colours, which it must not tint."""
    return 0.15 if state.colour == "error" else 0.4


def mesh_values(hand):
    """Vertices (mm) and faces of a mesh trace."""
    x, y, z = np.ascontiguousarray(1000 * hand.verts.T, dtype=np.float32)
    i, j, k = np.ascontiguousarray(hand.faces.T, dtype=np.int32)
    return dict(x=x, y=y, z=z, i=i, j=j, k=k)


def coloured(hand, colour, errors=None):
    """Colour properties of a mesh trace. All three kinds use the same ones, so that a viewer can swap them."""
    if colour == "error":
        return dict(
            intensity=errors.astype(np.float32), intensitymode="vertex", colorscale=palette.ERROR_SCALE, cmin=0.0,
            cmax=error_limit(errors), showscale=True,
        )  # fmt: skip
    if colour == "parts":
        return dict(
            intensity=hand.parts.astype(np.float32), intensitymode="cell", showscale=False,
            colorscale=_steps(palette.segments(hand.side)), cmin=-0.5, cmax=15.5,
        )  # fmt: skip
    plain = palette.of_label(hand.side)
    return dict(
        intensity=np.zeros(len(hand.verts), np.float32), intensitymode="vertex", showscale=False,
        colorscale=[[0, plain], [1, plain]], cmin=0.0, cmax=1.0,
    )  # fmt: skip


def error_limit(errors):
    """Upper end (mm) of the colour bar: the first round number that holds every error."""
    return next((limit for limit in ERROR_LIMITS_MM if limit >= np.max(errors)), ERROR_LIMITS_MM[-1])


def _steps(colours):
    """A colour scale of equal steps without blending."""
    count = len(colours)
    return [[(i + end) / count, palette.css(colour)] for i, colour in enumerate(colours) for end in (0, 1)]


def skeleton_values(joints):
    """Joints (21, 3) m -> points of one line that visits every finger from the wrist."""
    x, y, z = along_fingers(1000 * np.asarray(joints))
    return dict(x=x, y=y, z=z)


def along_fingers(joints):
    """(21, D) -> (D, 30): from the wrist along every finger in turn, NaN between the fingers."""
    points = np.where(np.array(PATH)[:, None] < 0, np.nan, np.asarray(joints)[PATH])
    return np.ascontiguousarray(points.T, dtype=np.float32)


def solid_mesh(**values):
    """The trace of a lit mesh."""
    bar = dict(title=dict(text="mm", side="top"), thickness=14, len=0.6, x=1.0, outlinewidth=0)
    return go.Mesh3d(
        values, lighting=LIGHT, lightposition=LIGHT_PLACE, flatshading=False, colorbar=bar, hoverinfo="skip"
    )


def ghost_mesh(**values):
    """The trace of the ground truth: one clear colour, seen through."""
    return go.Mesh3d(values, color=palette.TRUTH, lighting=LIGHT, lightposition=LIGHT_PLACE, hoverinfo="skip")


def skeleton(side="right", **values):
    """The trace of joints and bones, fingers in their colours, with the joints' names on hover."""
    return go.Scatter3d(
        values, mode="lines+markers", line=dict(color=path_colours(side), width=7), connectgaps=False,
        marker=dict(color=path_colours(side), size=4), text=path_names(side),
        hovertemplate="%{text}<br>%{x:.0f}, %{y:.0f}, %{z:.0f} mm<extra></extra>",
    )  # fmt: skip


def path_names(side):
    """Names of the joints of ``PATH``."""
    return [f"{side} {HAND21.joints[max(joint, 0)]}" for joint in PATH]


def path_colours(side):
    """Colours of the joints of ``PATH``."""
    return [palette.joint_colour(HAND21.joints[max(joint, 0)], side) for joint in PATH]


_TRACES = {"hand": solid_mesh, "truth": ghost_mesh, "skeleton": skeleton}


def limits(cloud, centre_of=None, step=25):
    """Limits (mm) of a cube about the middle of ``centre_of`` (default: the cloud) that holds a cloud (N, 3) m.

    Its half side is a multiple of ``step`` mm, so that a hand under the sliders does not jump at every move.
    """
    about = 1000 * (cloud if centre_of is None else centre_of)
    middle = (about.min(0) + about.max(0)) / 2
    half = step * np.ceil(1.05 * np.abs(1000 * cloud - middle).max() / step + 1e-9)
    return {axis: (float(middle[d] - half), float(middle[d] + half)) for d, axis in enumerate("xyz")}


def scene(limits_mm, distance=1.35):
    """A scene without axes, seen from the camera's place; ``distance`` in sizes of the scene."""
    axes = {f"{axis}axis": dict(visible=False, range=limits) for axis, limits in limits_mm.items()}
    camera = dict(eye=dict(x=0, y=0, z=-distance), up=dict(x=0, y=-1, z=0), center=dict(x=0, y=0, z=0))
    return dict(axes, aspectmode="cube", camera=camera, bgcolor=palette.PAPER, dragmode="orbit")
