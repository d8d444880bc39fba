"""The whole body model under sliders: shape, expression, jaw, hands; pure ``(case, state) -> plotly figure`` functions.

What `handlib.viewer.mesh` is for hands. Drawn in millimetres in the camera frame (x right, y down, z forward) and seen
from the camera's place; coloured by how far the sliders have moved each vertex.
"""

import dataclasses

import numpy as np
import plotly.graph_objects as go
import torch
from matplotlib import colormaps

from handlib.crops import person_targets
from handlib.viewer import body_static, figures, mesh, palette

HAND_SLIDERS = 6
_JAW, _HANDS = 22, {"lhand": slice(25, 40), "rhand": slice(40, 55)}  # rows of SMPLX55
_AWAY = np.array([0, 0.3, 3.0])  # m, where somebody without a fit stands


@dataclasses.dataclass(frozen=True)
class State:
    """What the user has set, added to where a case starts: shape and expression coefficients, the jaw's opening (rad),
    coefficients of the first of the model's hand components, of both hands.
    """

    shape: tuple = (0.0,) * 10
    expr: tuple = (0.0,) * 10
    jaw: float = 0.0
    hands: tuple = (0.0,) * HAND_SLIDERS


_HEAD, _RIGHT = [15, 22, 23, 24], [21, *range(40, 55)]  # rows of SMPLX55
MOVES = {  # what the static twin shows: a state, and the joints of the part that is looked at, [] for the whole body
    "shape 1: +2": (State(shape=(2.0,)), []),
    "shape 2: +2": (State(shape=(0.0, 2.0)), []),
    "as it is": (State(), _HEAD),
    "expression 1: +2": (State(expr=(2.0,)), _HEAD),
    "expression 2: +2, jaw open": (State(expr=(0.0, 2.0), jaw=0.25), _HEAD),
    "hands 1: +2": (State(hands=(2.0,)), _RIGHT),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A person to inspect: a SMPL-X layer, and where the sliders start: pose (55, 3) rad, hands from their mean, shape,
    expr (10,), transl (3,) m, world (3, 3); see the fields ``smplx_…``.
    """

    layer: torch.nn.Module
    fit: dict
    name: str


def case(sample, layers):
    """The person of a sample, as `handlib.viewer.persons.read` gives it, where it has a fit of this layer; else the
    model itself, upright. The name says which.
    """
    layer = layers["person"]
    if sample["smplx_valid"][0] and "drawn_verts" in sample:
        fit = {name: sample[f"smplx_{name}"] for name in ("pose", "shape", "expr", "transl", "world")}
        return Case(layer, fit, str(sample["key"]))
    fit = {"pose": np.zeros((55, 3)), "shape": np.zeros(10), "expr": np.zeros(10), "transl": _AWAY, "world": np.eye(3)}
    fit["pose"][0, 0] = np.pi
    why = "no fit" if "drawn_verts" in sample else sample["fits_drawn"]
    return Case(layer, fit, f"mean shape (this frame: {why})")


def posed(case, state=None):
    """Vertices (V, 3) m of a case with the sliders of ``state`` added (None: none)."""
    fit = {name: np.array(value, np.float32) for name, value in case.fit.items()}
    if state is not None:
        fit["shape"][: len(state.shape)] += state.shape
        fit["expr"][: len(state.expr)] += state.expr
        fit["pose"][_JAW, 0] += state.jaw
        for part, rows in _HANDS.items():
            components = getattr(case.layer, f"{part}_components")[: len(state.hands)].cpu().numpy()
            fit["pose"][rows] += (np.array(state.hands, np.float32) @ components).reshape(15, 3)
    with torch.no_grad():
        made = person_targets.posed({name: torch.from_numpy(value)[None] for name, value in fit.items()}, case.layer)
    return made["verts"][0].double().numpy()


def moved(case, state):
    """(vertices m, how far each is from where the sliders start, mm)."""
    verts = posed(case, state)
    return verts, 1000 * np.linalg.norm(verts - posed(case), axis=1)


def figure(case, state):
    """The figure of a state."""
    content = _content(case, state)
    result = go.Figure([mesh.solid_mesh(**content["person"])])
    result.update_layout(
        scene=mesh.scene(content["scene"]), title=content["title"], uirevision="keep", height=640, showlegend=False,
        margin=dict(l=0, r=0, t=56, b=0), paper_bgcolor="white", font=dict(color=palette.INK),
    )  # fmt: skip
    return result


def update(shown, case, state):
    """Bring ``shown`` (made by ``figure``) to ``state``: one message, only what has changed."""
    content = _content(case, state)
    with shown.batch_update():
        mesh.change(shown.data[0], content["person"])
        shown.layout.title.text = content["title"]["text"]
        for axis, limits in content["scene"].items():
            shown.layout.scene[f"{axis}axis"].range = limits


def _content(case, state):
    verts, millimetres = moved(case, state)
    person = mesh.Hand("person", verts, case.layer.faces.cpu().numpy(), np.zeros((0, 3)), np.zeros(1, int))
    source = "free body" if case.layer.is_free else "SMPL-X"
    words = (
        f"{source} · {mesh.literal(case.name)}<br><sub>moved by the sliders: mean {millimetres.mean():.1f} mm, most "
    )
    return {
        "person": mesh.mesh_values(person) | mesh.coloured(person, "error", millimetres),
        "title": dict(text=f"{words}{millimetres.max():.1f} mm</sub>", font=dict(size=13), x=0.02, y=0.96),
        "scene": mesh.limits(np.concatenate([verts, posed(case)]), posed(case), step=100),
    }


def sheet(case, moves=None):
    """The model under some states (as `MOVES`, the default), each coloured by how far it has moved the vertices, on a
    scale of its own: matplotlib.
    """
    moves = moves or MOVES
    result, panels = figures.sheet(2.5 * len(moves), 3.1, 1, len(moves))
    for axes, (words, (state, joints)) in zip(panels[0], moves.items(), strict=True):
        verts, millimetres = moved(case, state)
        colours = colormaps[palette.ERROR_SCALE](millimetres / mesh.error_limit(millimetres))[:, :3]
        rows, faces = _part(case.layer, joints)
        shown = body_static.picture(verts[rows], faces, colours[rows])
        figures.show_picture(axes, shown, f"{words}\nup to {millimetres.max():.0f} mm")
    figures.heading(result, f"{case.name}: dark red has moved the most")
    return result


def _part(layer, joints):
    """The vertices that some joints move, all for none, and the faces among these."""
    faces, weights = layer.faces.cpu().numpy(), layer.weights.cpu().numpy()
    mine = weights[:, joints].sum(1) > 0.5 if joints else np.ones(len(weights), bool)
    rows, faces = np.unique(faces[mine[faces].all(1)], return_inverse=True)
    return rows, faces.reshape(-1, 3)
