"""The inspector of whole bodies: a predicted SMPL-X mesh beside the true one, coloured by its error, part by part; pure
``(cases, state) -> plotly figure`` functions.

``figure`` makes the picture of a state and ``update`` brings it to another; `handlib.viewer.body_page` is the same with
its controls in one file, `handlib.viewer.body_static` the twin. Drawn in millimetres in the camera frame (x right, y
down, z forward), seen from the camera's place, the true mesh where it is and the predicted one laid onto it.
"""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from handlib import alignment
from handlib.protocols import wholebody
from handlib.viewer import errors, mesh, palette

PARTS = ("body", "hands", "face")
COLOURS = ("error", "parts", "skin")
HOW = {False: "MPVPE, pelvis, wrists or neck together", True: "PA-MPVPE, after the best similarity"}
_ROWS = {"lhand": ("hand", 0), "rhand": ("hand", 1), "face": ("face", 0)}  # where `wholebody.Parts` has them


@dataclasses.dataclass(frozen=True)
class State:
    """What the user has set. number: which case; shown: of `PARTS`; apart: hands and face each laid onto its true one,
    else where the whole body put them; fit: laid on by a similarity (PA), else by moving the pelvis (hands: the wrist,
    face: the neck).
    """

    number: int = 0
    colour: str = "error"  # one of COLOURS
    shown: tuple = PARTS
    truth: bool = False  # lay the true mesh over it
    apart: bool = False
    fit: bool = False

    def __post_init__(self):
        if self.colour not in COLOURS:
            raise ValueError(f"colour is one of {', '.join(COLOURS)}, not {self.colour!r}")
        if unknown := [part for part in self.shown if part not in PARTS]:
            raise ValueError(f"a part is one of {', '.join(PARTS)}, not {unknown[0]!r}")


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A person: predicted and true vertices (V, 3) m in the camera's frame, words for it, and perhaps a picture, uint8
    (h, w, 3).
    """

    verts: np.ndarray
    truth: np.ndarray
    name: str = ""
    picture: np.ndarray | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Surface:
    """SMPL-X's topology: faces (F, 3); ids: vertex numbers of "lhand", "rhand", "face"; roots: rows (V,) that make
    of a mesh the joint onto which these are laid (wrists, neck), and "pelvis".
    """

    faces: np.ndarray
    ids: dict
    roots: dict

    @functools.cached_property
    def pieces(self):
        """{part of `PARTS`: (vertex numbers, faces among these)}; a face belongs to a part with all its corners."""
        hands = np.zeros(len(next(iter(self.roots.values()))), int)
        hands[np.concatenate([self.ids["lhand"], self.ids["rhand"]])] = 1
        hands[self.ids["face"]] = 2
        corners = hands[self.faces]
        label = np.where((corners == corners[:, :1]).all(1), corners[:, 0], 0)
        found = {}
        for number, part in enumerate(PARTS):
            numbers, faces = np.unique(self.faces[label == number], return_inverse=True)
            found[part] = numbers, faces.reshape(-1, 3)
        return found

    def joined(self, parts):
        """The vertex numbers of several parts, and the faces among these."""
        faces = np.concatenate([self.pieces[part][0][self.pieces[part][1]] for part in parts])
        numbers, faces = np.unique(faces, return_inverse=True)
        return numbers, faces.reshape(-1, 3)


def surface(layer, folder="free"):
    """`Surface` of a SMPL-X layer; folder: of the official index files, or "free" of the free body."""
    parts = wholebody.parts(str(folder))
    ids = {name: parts.vertices[kind][place][0] for name, (kind, place) in _ROWS.items()}
    roots = {name: parts.roots[parts.vertices[kind][place][1]] for name, (kind, place) in _ROWS.items()}
    return Surface(layer.faces.cpu().numpy(), ids, roots | {"pelvis": parts.roots[parts.vertices["all"][0][1]]})


def laid(verts, truth, root, fit):
    """Points (P, 3) laid onto the true ones: by a similarity (``fit``), or moved by ``root`` (3,)."""
    return alignment.similarity(verts[None], truth[None], reflection=False)[0][0] if fit else verts + root


class Compared(NamedTuple):
    """A predicted mesh laid onto the true one, whole and part by part: places (V, 3) m and errors (V,) mm of either,
    the body's the same in both; means {"all", "hands", "face"} mm as the protocols of EHF and AGORA count them.
    """

    whole: np.ndarray
    apart: np.ndarray
    whole_mm: np.ndarray
    apart_mm: np.ndarray
    means: dict

    def of(self, part, apart):
        """Places and errors of a part of `PARTS`: hands and face for themselves, if so asked."""
        own = apart and part != "body"
        return (self.apart, self.apart_mm) if own else (self.whole, self.whole_mm)


def compared(case, whole, fit=False):
    """`Compared`; fit: laid on by similarities (PA), else by moving pelvis, wrists and neck."""
    verts, truth = np.asarray(case.verts, float), np.asarray(case.truth, float)
    row = whole.roots["pelvis"]
    together = laid(verts, truth, row @ truth - row @ verts, fit)
    apart, means = together.copy(), {}
    for part, rows in whole.ids.items():
        row = whole.roots[part]
        apart[rows] = laid(verts[rows], truth[rows], row @ truth - row @ verts, fit)
        means[part] = 1000 * np.linalg.norm(apart[rows] - truth[rows], axis=1).mean()
    together_mm, apart_mm = (1000 * np.linalg.norm(points - truth, axis=1) for points in (together, apart))
    means = {"all": together_mm.mean(), "hands": (means["lhand"] + means["rhand"]) / 2, "face": means["face"]}
    return Compared(together, apart, together_mm, apart_mm, means)


def figure(cases, whole, state):
    """The figure of a state. cases: list of `Case`; whole: `Surface`."""
    content = _content(cases, whole, state)
    result = go.Figure([make(**content[name]) for name, make in _TRACES.items()])
    result.update_layout(
        scene=mesh.scene(content["scene"]), title=content["title"], uirevision="keep", height=640, showlegend=False,
        margin=dict(l=0, r=0, t=56, b=0), paper_bgcolor="white", font=dict(color=palette.INK),
    )  # fmt: skip
    return result


def update(shown, cases, whole, state):
    """Bring ``shown`` (made by ``figure``) to ``state``: one message, only what has changed."""
    content = _content(cases, whole, state)
    with shown.batch_update():
        for trace, name in zip(shown.data, _TRACES, strict=True):
            mesh.change(trace, content[name])
        shown.layout.title.text = content["title"]["text"]
        for axis, limits in content["scene"].items():
            shown.layout.scene[f"{axis}axis"].range = limits


def _content(cases, whole, state):
    """Everything of a figure that depends on the state: {trace: its properties}, title and axis limits."""
    case, shown = cases[state.number], state.shown or PARTS
    seen, truth = compared(case, whole, state.fit), np.asarray(case.truth, float)
    found = {part: (*seen.of(part, state.apart), *piece) for part, piece in whole.pieces.items()}
    limit = errors.round_limit(np.concatenate([found[part][1][found[part][2]] for part in shown]))
    content = {}
    for part, (points, mm, rows, faces) in found.items():
        colours = _coloured(whole, part, rows, mm[rows], state.colour, limit, part == shown[0])
        content[part] = _mesh(points[rows], faces) | colours | dict(visible=part in state.shown)
    rows, faces = whole.joined(shown)
    content["truth"] = _mesh(truth[rows], faces) | dict(
        visible=state.truth, opacity=0.18 if state.colour == "error" else 0.4
    )
    cloud = [points[found[part][2]] for part in shown for points in (found[part][0], truth)]
    title = "{}<br><sub>{}</sub>".format(*map(mesh.literal, words(case, seen.means, state)))
    return content | {
        "title": dict(text=title, font=dict(size=13), x=0.02),
        "scene": mesh.limits(np.concatenate(cloud)),
    }


def words(case, means, state):
    """Two lines for a case: its name; and its errors, and how they are counted."""
    figures = ", ".join(f"{part} {mm:.1f}" for part, mm in means.items())
    drawn = "each part laid on for itself" if state.apart else "laid on as a whole"
    return case.name, f"{HOW[state.fit]}: {figures} mm · colours: {drawn}"


def _mesh(verts, faces):
    """Vertices (mm) and faces of a mesh trace, in few bytes."""
    x, y, z = np.ascontiguousarray((1000 * np.asarray(verts)).T.round(1), np.float32)
    i, j, k = np.ascontiguousarray(faces.T, np.int16 if faces.max() < 2**15 else np.int32)
    return dict(x=x, y=y, z=z, i=i, j=j, k=k)


def _coloured(whole, part, rows, mm, colour, limit, bar):
    """Colour properties of a part's trace. All kinds use the same ones, so that a viewer can swap them."""
    if colour == "error":
        return dict(intensity=mm.astype(np.float32).round(1), colorscale=palette.ERROR_SCALE, cmin=0.0, cmax=limit,
                    showscale=bar)  # fmt: skip
    right = np.isin(rows, whole.ids["rhand"]).astype(np.float32)
    first, second = tones(colour)[part]
    return dict(intensity=right, colorscale=[[0, first], [1, second]], cmin=0.0, cmax=1.0, showscale=False)


def tones(colour):
    """{part: (colour, that of the right hand)} under the colours "parts" and "skin"."""
    if colour == "skin":
        return dict.fromkeys(PARTS, (palette.SIDE["right"],) * 2)
    shades = {name: palette.mix(tone, "#FFFFFF", 0.3) for name, tone in palette.BODY.items()}
    return {"body": (shades["body"],) * 2, "hands": (shades["lhand"], shades["rhand"]), "face": (shades["face"],) * 2}


def _part(**values):
    trace = mesh.solid_mesh(**values)
    trace.intensitymode = "vertex"
    return trace


_TRACES = dict.fromkeys(PARTS, _part) | {"truth": mesh.ghost_mesh}
