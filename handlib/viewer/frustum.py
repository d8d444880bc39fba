"""Hands or persons in the frustum of the picture they were found in; pure ``(image, prediction, state) -> figure``
functions.

Left the picture with them drawn over it, right the same in space (millimetres, camera frame) between the camera and the
picture, which stands behind them as a backdrop: seen from the camera's place the two must agree, and from the side one
sees how far away they were placed.
"""

import dataclasses

import cv2
import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from handlib import render
from handlib.export import drawn
from handlib.geometry import back_project, project
from handlib.viewer import browser, figures, mesh, palette, static

VIEWS = ("camera", "side")
PIXELS = 900  # longest side of the picture in a figure
GRID = 150  # longest side of the backdrop in cells
BEHIND = 1.12  # depth of the backdrop in depths of the farthest vertex
_FAR, _BEFORE = 2.0, 0.3  # m: what is too far off is shown without all the room before it
_SIDE_EYE = dict(x=0.95, y=-0.45, z=-0.7)
_TURN = np.array([[0.5, 0, 0.866], [0.217, 0.968, -0.125], [-0.838, 0.25, 0.484]])  # from camera to side view


@dataclasses.dataclass(frozen=True)
class State:
    """What the user has set. opacity: of hands or persons, 0..1; chosen: the numbers shown (None: all); view: in space,
    from the "camera" or from the "side"; backdrop, boxes: whether they are there."""

    opacity: float = 0.9
    chosen: tuple | None = None
    view: str = "side"
    backdrop: bool = True
    boxes: bool = True

    def __post_init__(self):
        if self.view not in VIEWS:
            raise ValueError(f"view is one of {', '.join(VIEWS)}, not {self.view!r}")
        if not 0 <= self.opacity <= 1:
            raise ValueError(f"opacity is a number from 0 to 1, not {self.opacity}")

    def shows(self, number):
        return self.chosen is None or number in self.chosen


def names(prediction):
    """What the hands or persons are called: ["0 right", …], ["0 person", …]."""
    return [f"{number} {label}" for number, label in enumerate(prediction.labels)]


def caption(prediction):
    """Name, camera, and how well places in space and in the picture agree."""
    off = ", ".join(f"{value:.1f}" for value in prediction.reprojection_px)
    found = prediction.subject.counted(len(prediction))
    found += f", joints off by {off} px" if len(prediction) else ""
    return f"{prediction.name} · {found} · {prediction.K_source}"


def figure(image, prediction, state=None, controls=True):
    """The figure of a state. image: uint8 (h, w, 3) RGB, upright; prediction: `handlib.predict.Prediction`.

    controls: with a slider of opacity, a button for each mesh and for each view in the figure itself, for a page
    without Python behind it.
    """
    state = state or State()
    traces = _traces(image, prediction, state)
    result = make_subplots(
        1, 2, specs=[[{"type": "xy"}, {"type": "scene"}]], column_widths=[0.5, 0.5], horizontal_spacing=0.01
    )
    owners = _owners(prediction)
    for trace, (_, column) in zip(traces, owners, strict=True):
        result.add_trace(trace, 1, column)
    (width, height), limits = prediction.size, _limits(prediction)
    result.update_xaxes(visible=False, constrain="domain", range=(-0.5, width - 0.5))
    result.update_yaxes(visible=False, constrain="domain", range=(height - 0.5, -0.5), scaleanchor="x")
    result.update_layout(
        scene=mesh.scene(limits) | {"camera": _camera(state.view, limits)}, showlegend=False,
        height=600 if controls else 540,
        title=dict(text=mesh.literal(caption(prediction)), font=dict(size=13), x=0.01, y=0.97), uirevision="keep",
        margin=dict(l=0, r=12, t=40, b=90 if controls else 0), paper_bgcolor="white", plot_bgcolor="white",
        font=dict(color=palette.INK),
    )  # fmt: skip
    if controls:
        result.update_layout(sliders=[_slider(owners, state)], updatemenus=_buttons(owners, prediction, limits, state))
    return result


def update(shown, prediction, state):
    """Bring ``shown`` (made by ``figure``) to ``state``: one message, nothing drawn anew."""
    with shown.batch_update():
        for trace, (owner, column) in zip(shown.data, _owners(prediction), strict=True):
            mesh.change(trace, _changing(owner, column, state))
        shown.layout.scene.camera = _camera(state.view, _limits(prediction))


def _owners(prediction):
    """Of every trace, in order: the number of its hand or person, or what it is; and whether it stands left (1) or
    right (2).
    """
    meshes = _far_first(prediction)
    flat, solid = ["picture", *meshes, "boxes"], ["backdrop", "frustum", *meshes]
    return [(owner, 1) for owner in flat] + [(owner, 2) for owner in solid]


def _far_first(prediction):
    return np.argsort(-prediction.verts_cam[:, :, 2].mean(1)).tolist() if len(prediction) else []


def _changing(owner, column, state):
    """The properties of a trace that a state sets. Meshes in space stay solid: plotly draws clear ones unsorted."""
    if isinstance(owner, int):
        return dict(visible=state.shows(owner)) | ({"opacity": state.opacity} if column == 1 else {})
    return dict(visible=getattr(state, owner, True))


def _traces(image, prediction, state):
    """As `_owners` says."""
    small, K = _shrunk(image, prediction)
    step = prediction.size[0] / small.shape[1]
    place = dict(dx=step, dy=step, x0=(step - 1) / 2, y0=(step - 1) / 2, hoverinfo="skip")
    made = [go.Image(source=browser.data_uri(small), **place)]
    order = _far_first(prediction)
    made += [go.Image(source=_layer(prediction, number, K, small.shape[:2]), **place) for number in order]
    x, y = _box_lines(prediction)
    made.append(go.Scatter(x=x, y=y, mode="lines", line=dict(color=palette.BOX, width=2), hoverinfo="skip"))
    made += [_backdrop(small, prediction), _frustum(prediction)]
    for number in order:
        label = prediction.labels[number]
        shown = mesh.Hand(label, prediction.verts_cam[number], prediction.faces_of(number), None, None)
        made.append(mesh.solid_mesh(**mesh.mesh_values(shown), color=palette.of_label(label, number)))
    for trace, (owner, column) in zip(made, _owners(prediction), strict=True):
        trace.update(_changing(owner, column, state))
    return made


def _shrunk(image, prediction):
    """The picture in the size of the figure, and its K."""
    scale = min(1.0, PIXELS / max(image.shape[:2]))
    size = tuple(max(round(scale * length), 1) for length in image.shape[1::-1])
    ratio = np.array(size) / image.shape[1::-1]
    K = np.array(prediction.K, float)
    K[:2] *= ratio[:, None]
    K[:2, 2] += (ratio - 1) / 2  # pixel (0, 0) is the centre of the first pixel
    return (image if scale == 1 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)), K


def _layer(prediction, number, K, size):
    """A hand or person alone, drawn on nothing, as a data URI."""
    rgba = render.shade(drawn.meshes(prediction, [number]), K, size)
    colours = rgba[..., :3] / np.maximum(rgba[..., 3:], 1e-6)
    picture = np.concatenate([colours, rgba[..., 3:]], -1)
    return browser.data_uri((255 * picture).round().clip(0, 255).astype(np.uint8))


def _box_lines(prediction):
    """The boxes as one line with gaps."""
    x, y, w, h = np.asarray(prediction.boxes, float).reshape(-1, 4).T
    gap = np.full(len(x), np.nan)
    return np.stack([x, x + w, x + w, x, x, gap], 1).ravel(), np.stack([y, y, y + h, y + h, y, gap], 1).ravel()


def _far(prediction):
    """Depth of the backdrop, m."""
    verts = prediction.verts_cam
    return BEHIND * float(verts[..., 2].max()) if len(verts) else 1.0


def _near(prediction):
    """Depth at which the frustum begins, m: at the camera, unless hands or persons are far away."""
    verts = prediction.verts_cam
    nearest = float(verts[..., 2].min()) if len(verts) else 0.0
    return max(nearest - _BEFORE, 0.0) if _far(prediction) > _FAR else 0.0


def _corners(prediction, depth):
    """Those of the picture at a depth, (4, 3) m, clockwise from the upper left."""
    w, h = prediction.size
    pixels = np.array([[-0.5, -0.5], [w - 0.5, -0.5], [w - 0.5, h - 0.5], [-0.5, h - 0.5]])
    return back_project(pixels, np.full(4, depth), np.asarray(prediction.K, float))


def _limits(prediction):
    ends = [_corners(prediction, depth) for depth in (_near(prediction), _far(prediction))]
    return mesh.limits(np.concatenate([*ends, prediction.verts_cam.reshape(-1, 3)]))


def _edges(prediction):
    """Pairs of points (12, 2, 3) m of the frustum's edges; the near ones fall together at the camera."""
    near, far = (_corners(prediction, depth) for depth in (_near(prediction), _far(prediction)))
    around = [np.stack([ends, np.roll(ends, -1, 0)], 1) for ends in (far, near)]
    return np.concatenate([np.stack([near, far], 1), *around])


def _frustum(prediction):
    points = 1000 * np.concatenate([_edges(prediction), np.full((12, 1, 3), np.nan)], 1).reshape(-1, 3)
    line = dict(color=palette.FAINT, width=3)
    x, y, z = points.T.astype(np.float32)
    return go.Scatter3d(x=x, y=y, z=z, mode="lines", line=line, connectgaps=False, hoverinfo="skip")


def _backdrop(image, prediction):
    """The picture as a mesh with coloured corners, unlit."""
    w, h = prediction.size
    scale = GRID / max(w, h)
    columns, rows = (max(round(scale * length), 2) for length in (w, h))
    x, y = np.meshgrid(np.linspace(-0.5, w - 0.5, columns), np.linspace(-0.5, h - 0.5, rows))
    pixels = np.stack([x.ravel(), y.ravel()], 1)
    points = 1000 * back_project(pixels, np.full(len(pixels), _far(prediction)), np.asarray(prediction.K, float))
    number = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = (one.ravel() for one in (number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]))
    i, j, k = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).T.astype(np.int32)
    colours = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA).reshape(-1, 3)
    x, y, z = points.T.astype(np.float32)
    return go.Mesh3d(
        x=x, y=y, z=z, i=i, j=j, k=k, vertexcolor=[palette.css(colour) for colour in colours], hoverinfo="skip",
        lighting=dict(ambient=1.0, diffuse=0.0, specular=0.0, fresnel=0.0), flatshading=True,
    )  # fmt: skip


def _camera(view, limits):
    """plotly's camera: its unit is the scene's side, its origin the scene's middle."""
    if view == "side":
        eye = _SIDE_EYE
    else:
        low, high = np.array([limits[axis] for axis in "xyz"]).T
        eye = dict(zip("xyz", (-(low + high) / 2 / (high - low)).tolist(), strict=True))
    ahead = dict(x=eye["x"], y=eye["y"], z=0) if view == "camera" else dict(x=0, y=0, z=0)
    return dict(eye=eye, up=dict(x=0, y=-1, z=0), center=ahead)


def _slider(owners, state):
    values = np.linspace(0, 1, 11).round(1).tolist()
    layers = [place for place, (owner, column) in enumerate(owners) if isinstance(owner, int) and column == 1]
    steps = [dict(label=f"{value:.1f}", method="restyle", args=[{"opacity": value}, layers]) for value in values]
    return dict(
        steps=steps, active=int(np.abs(np.array(values) - state.opacity).argmin()), x=0.02, len=0.4, y=0,
        pad=dict(t=12), currentvalue=dict(prefix="opacity ", font=dict(size=11)), font=dict(size=9),
    )  # fmt: skip


def _buttons(owners, prediction, limits, state):
    """A menu of views, and one that shows and hides hands or persons."""
    place = dict(type="buttons", direction="right", showactive=False, y=-0.02, yanchor="top", pad=dict(t=4))
    views = [
        dict(label=f"from the {view}", method="relayout", args=[{"scene.camera": _camera(view, limits)}])
        for view in VIEWS
    ]
    switches = []
    for one, name in enumerate(names(prediction)):
        traces = [number for number, (owner, _) in enumerate(owners) if owner == one]
        ways = [{"visible": value} for value in ((False, True) if state.shows(one) else (True, False))]
        switches.append(dict(label=name, method="restyle", args=[ways[0], traces], args2=[ways[1], traces]))
    menus = [dict(place, buttons=views, x=0.52, xanchor="left")]
    return menus + ([dict(place, buttons=switches, x=1.0, xanchor="right")] if switches else [])


def twin(image, prediction, state=None):
    """The state as a matplotlib figure: the picture with its meshes, and the frustum from the side."""
    state = state or State()
    chosen = [number for number in range(len(prediction)) if state.shows(number)]
    small, K = _shrunk(image, prediction)
    meshes = drawn.meshes(prediction, chosen)
    over = render.overlay(small, meshes, K, alpha=state.opacity) if meshes else small
    (width, height), tall = prediction.size, 4.2
    sheet, ((left, right),) = figures.sheet(tall * width / height + tall + 0.2, tall + 0.5, 1, 2)
    figures.heading(sheet, caption(prediction), 8)
    figures.show_picture(left, over, "over the picture")
    if state.boxes and len(prediction.boxes):
        x, y = _box_lines(prediction)
        ratio = small.shape[1] / width
        left.plot((x + 0.5) * ratio - 0.5, (y + 0.5) * ratio - 0.5, color=palette.BOX, lw=1.4)
    figures.show_picture(right, _from_the_side(small, prediction, meshes, state), "in space, from the camera's right")
    return sheet


def _from_the_side(small, prediction, meshes, state):
    """The frustum as a picture, uint8."""
    limits = mesh.limits(
        np.concatenate([_edges(prediction).reshape(-1, 3), prediction.verts_cam.reshape(-1, 3)]) @ _TURN.T
    )
    K, offset = static.portrait_camera(limits)
    K[:2, :2] *= 0.8  # the frustum's corners come nearer than the middle that this camera is made for
    canvas = static.paper()
    if state.backdrop:
        h, w = small.shape[:2]
        corners = np.array([[-0.5, -0.5], [w - 0.5, -0.5], [w - 0.5, h - 0.5], [-0.5, h - 0.5]], np.float32)
        seen = project(_corners(prediction, _far(prediction)) @ _TURN.T + offset, K).astype(np.float32)
        flat = cv2.getPerspectiveTransform(corners, seen)
        cover = cv2.warpPerspective(np.ones((h, w), np.float32), flat, canvas.shape[1::-1])[..., None]
        shown = cv2.warpPerspective(small, flat, canvas.shape[1::-1])
        canvas = (canvas * (1 - cover) + shown * cover).round().astype(np.uint8)
    for ends in project(_edges(prediction) @ _TURN.T + offset, K):
        first, second = (tuple(np.rint(16 * end).astype(int).tolist()) for end in ends)
        cv2.line(canvas, first, second, palette.rgb(palette.FAINT).tolist(), 1, cv2.LINE_AA, 4)
    moved = [one._replace(verts=one.verts @ _TURN.T + offset) for one in meshes]
    return render.overlay(canvas, moved, K, alpha=state.opacity) if moved else canvas


def sheet(images, predictions, state=None, columns=3, tile=4.0):
    """Pictures with their hands or persons and boxes drawn over them, side by side; a matplotlib figure."""
    state = state or State()
    over = [drawn.overlay(image, one, state.opacity) for image, one in zip(images, predictions, strict=True)]

    def decorate(axes, place):
        if state.boxes and len(predictions[place].boxes):
            axes.plot(*_box_lines(predictions[place]), color=palette.BOX, lw=1.2)

    words = [f"{one.name}\n{', '.join(names(one)) or one.subject.counted(0)}" for one in predictions]
    return figures.grid(over, words, columns, tile, decorate)
