"""The dataset browser for whole people: what `handlib.viewer.browser` is for hands, with the same functions.

Left the picture with the boxes of person, hands and face, the annotated joints of SMPLX137 and the mesh over it; right
the mesh in 3D, or the joints where these are known in 3D and no mesh is. A mesh is the data set's own vertices, or made
of its SMPL-X fit, as far as the body model that they are of is here.
"""

import functools

import cv2
import numpy as np
import plotly.graph_objects as go
import torch
from matplotlib.collections import LineCollection

from handlib import bodies, geometry, render
from handlib.body_joints import BONES65, PARTS137, SMPLX137
from handlib.crops import person_targets
from handlib.viewer import browser, figures, mesh, palette

BOXES = {"bbox": palette.BOX} | {f"{part}_bbox": palette.BODY[part] for part in ("lhand", "rhand", "face")}
WORDS = {"lhand": "left hand", "rhand": "right hand", "face": "face"}  # in the order of ``part_bbox_valid``
TILE = (288, 384)  # width and height of the picture that `closely` gives
FREE = "handlib free body"
COLOUR = palette.PERSON[1]  # of meshes: not skin
_FACE = PARTS137["face"]


def layers(data):
    """{"person": layer}: SMPL-X where the data root's ``bodies/`` holds it, else the free body; it says which."""
    folder = browser.bodies_folder(data)
    there = folder is not None and any(folder.rglob("SMPLX_NEUTRAL.*"))
    return {"person": bodies.load(folder if there else None, "smplx_neutral")}


def has_masks(pack):
    """There are none."""
    return False


def kind(sample):
    """Which parts of the person the sample has boxes of, in a few words."""
    seen = [word for word, yes in zip(WORDS.values(), sample["part_bbox_valid"], strict=True) if yes]
    return ", ".join(seen) or "body alone"


def read(pack, layers, frame):
    """Sample ``frame`` of a pack, with ``drawn_verts`` (V, 3) m (none where there is no mesh to be drawn: what
    ``fits_drawn`` says), ``drawn_joints`` (137, 2) px and ``drawn_joints3d`` (137, 3) m, NaN where they are not known.
    """
    layer, sample, fits_of = layers["person"], pack[frame], pack.manifest["fits_of"]
    valid = sample["person_joints_valid"][:, None]
    sample["drawn_joints"] = np.where(valid, sample["person_joints_img"], np.nan)
    sample["drawn_joints3d"] = np.where(valid & sample["is_3d"], sample["person_joints_cam"], np.nan)
    if not (sample["smplx_valid"][0] or "smplx_verts" in sample):
        return sample | {"fits_drawn": "no mesh"}
    if layer.is_free != (fits_of == FREE) or fits_of not in (FREE, "SMPL-X"):
        return sample | {"fits_drawn": f"no mesh: fits of {fits_of}, the body model here is the {layer.source}"}
    out = _of_fit(sample, layer) if sample["smplx_valid"][0] else {}
    if sample["joints_of_fit"]:
        known = sample["smplx_joints_valid"][:, None]
        sample["drawn_joints"] = np.where(known, geometry.project(out["joints"], sample["K"])[:, :2], np.nan)
    verts = sample.get("smplx_verts", out.get("verts"))
    return sample | {"drawn_verts": verts, "fits_drawn": "mesh: free body" if layer.is_free else "mesh: SMPL-X"}


def _of_fit(sample, layer):
    """Vertices and joints of a sample's fit, numpy."""
    fit = {name: torch.as_tensor(sample[f"smplx_{name}"], dtype=torch.float32)[None]
           for name in ("pose", "shape", "expr", "transl", "world")}  # fmt: skip
    with torch.no_grad():
        return {name: points[0].double().numpy() for name, points in person_targets.posed(fit, layer).items()}


def meshes(sample, layers):
    """{"person": mesh.Hand} of a sample that has a mesh to be drawn, else {}."""
    if "drawn_verts" not in sample:
        return {}
    faces = layers["person"].faces.numpy()
    return {"person": mesh.Hand("person", sample["drawn_verts"], faces, np.zeros((0, 3)), np.zeros(len(faces), int))}


def skeletons(sample, posed):
    """{"person": joints (137, 3) m, NaN where unknown} of a person without a mesh, where they are known in 3D."""
    known = np.isfinite(sample["drawn_joints3d"]).any()
    return {"person": sample["drawn_joints3d"]} if known and not posed else {}


def cloud(sample, posed):
    """Every point (N, 3) m that is drawn in 3D."""
    points = [one.verts for one in posed.values()] + [
        joints[np.isfinite(joints).all(1)] for joints in skeletons(sample, posed).values()
    ]
    return np.concatenate(points) if points else np.zeros((1, 3))


def closely(sample):
    """The sample in a small picture (`TILE`) of the person, as a network's crop shows it."""
    width, height = sample["width"], sample["height"]
    box = sample["bbox"] if sample["bbox_final"] else geometry.person_box(sample["bbox"], width, height)
    box = np.asarray((0, 0, width, height) if box is None else box, float)
    affine = geometry.crop_affine(box[:2] + box[2:] / 2, box[2:], TILE)
    paper = tuple(int(value) for value in palette.rgb(palette.PAPER))
    picture = cv2.warpAffine(sample["image"], affine, TILE, flags=cv2.INTER_LINEAR, borderValue=paper)
    scale = np.diag(affine)
    boxes = {
        name: np.concatenate([sample[name][:2] * scale + affine[:, 2], sample[name][2:] * scale]) for name in BOXES
    }
    return sample | boxes | {
        "image": picture,
        "K": np.vstack([affine, [0, 0, 1]]) @ sample["K"],
        "drawn_joints": geometry.apply_affine(sample["drawn_joints"], affine),
    }  # fmt: skip


def canvas(sample, posed, state):
    """The picture with the mesh overlay that ``state`` asks for, uint8 (h, w, 3)."""
    if not (state.mesh and posed):
        return sample["image"]
    return render.overlay(sample["image"], [render_mesh(one) for one in posed.values()], sample["K"], alpha=0.8)


def render_mesh(person):
    """A person as ``render`` takes it."""
    return render.Mesh(person.verts, person.faces, colours=palette.lit("person", 1))


def annotate(axes, sample, state):
    """Draw the boxes and the joints that ``state`` asks for over a picture on matplotlib axes."""
    if state.box:
        for name, box in _boxes(sample).items():
            figures.outline(axes, box, BOXES[name])
    if state.joints:
        draw_joints(axes, sample["drawn_joints"])


def draw_joints(axes, joints, side=""):
    """Joints (137, 2) px, NaN left out, on matplotlib axes: body and hands as skeletons, the face as points."""
    for part, pairs in _BONES.items():
        segments = [joints[list(pair)] for pair in pairs if np.isfinite(joints[list(pair)]).all()]
        axes.add_collection(LineCollection(segments, colors="white", linewidths=2.2, alpha=0.8))
        axes.add_collection(LineCollection(segments, colors=palette.BODY[part], linewidths=1.2))
    for part in (*_BONES, "face"):
        points = joints[PARTS137[part]]
        axes.scatter(*points.T, s=2 if part == "face" else 5, color=palette.BODY[part], linewidths=0, zorder=3)


def _boxes(sample):
    """{field: box} of those that the sample has."""
    there = dict(zip(list(BOXES)[1:], sample["part_bbox_valid"], strict=True))
    return {name: sample[name] for name in BOXES if there.get(name, True)}


def caption(pack, sample, state):
    """What the frame is, and what it has not."""
    known = int(np.isfinite(sample["drawn_joints"]).all(1).sum())
    joints = f"{known} of 137 joints" if known else "no joints"
    return " · ".join(
        [f"{state.frame + 1} of {len(pack)}: {sample['key']}", kind(sample), joints, sample["fits_drawn"]]
    )


def figure(pack, layers, state):
    """The figure of a state. layers: as of `layers`; state: a `browser.State`."""
    return browser.assembled(_content(pack, layers, state), _TRACES)


def update(shown, pack, layers, state):
    """Bring ``shown`` (made by ``figure``) to ``state`` in one message."""
    browser.bring(shown, _content(pack, layers, state), _TRACES)


def _content(pack, layers, state):
    """See `browser._content`."""
    sample = read(pack, layers, state.frame)
    posed = meshes(sample, layers)
    content = browser.framed(canvas(sample, posed, state), caption(pack, sample, state), cloud(sample, posed))
    there = _boxes(sample)
    for name in BOXES:
        content[name] = dict(browser.corners(sample[name]), visible=state.box and name in there)
    flat, deep = sample["drawn_joints"], skeletons(sample, posed).get("person", np.full((137, 3), np.nan))
    for part in _ROWS:
        for name, points in ((f"{part} joints", flat), (f"{part} in 3D", 1000 * deep)):
            line = _along(part, points)
            asked = state.joints if points is flat else True
            axes = dict(zip("xyz", np.ascontiguousarray(line.T, np.float32), strict=False))
            content[name] = dict(axes, visible=bool(asked and np.isfinite(points[PARTS137[part]]).any()))
    person = posed.get("person", browser.NOTHING)
    plain = mesh.mesh_values(person) | mesh.coloured(person, "skin")
    content["mesh"] = plain | dict(colorscale=[[0, COLOUR], [1, COLOUR]], visible=bool(posed))
    return content


def _along(part, points):
    """Points (137, D) of a part in the order in which its line visits them, NaN where the pen is lifted."""
    return np.where(_ROWS[part][:, None] < 0, np.nan, np.asarray(points, float)[_ROWS[part]])


def _bones(part):
    inside = [range(137)[PARTS137[hand]] for hand in ("lhand", "rhand")]
    own = {"body": lambda b: not any(b in rows for rows in inside), "lhand": inside[0].__contains__,
           "rhand": inside[1].__contains__}[part]  # fmt: skip
    return [(a, b) for a, b in (*BONES65, *_TORSO) if own(b)]


_WITHOUT_NECK = (("L_Shoulder", "R_Shoulder"), ("L_Shoulder", "L_Hip"), ("R_Shoulder", "R_Hip"))  # COCO has none
_TORSO = [tuple(SMPLX137.joints.index(name) for name in pair) for pair in _WITHOUT_NECK]
_BONES = {part: _bones(part) for part in ("body", "lhand", "rhand")}
_ROWS = {part: np.array([row for pair in pairs for row in (*pair, -1)]) for part, pairs in _BONES.items()}
_ROWS["face"] = np.array([row for one in range(137)[_FACE] for row in (one, -1)])


def _dots(make, part, **values):
    names = [SMPLX137.joints[row] if row >= 0 else "" for row in _ROWS[part]]
    small = 3 if part == "face" else 4
    return make(values, mode="lines+markers", line=dict(color=palette.BODY[part], width=2), connectgaps=False,
                marker=dict(color=palette.BODY[part], size=small), text=names, hoverinfo="text")  # fmt: skip


_TRACES = {
    "picture": (browser.picture_trace, 1),
    **{name: (functools.partial(browser.outline, colour), 1) for name, colour in BOXES.items()},
    **{f"{part} joints": (functools.partial(_dots, go.Scatter, part), 1) for part in _ROWS},
    "mesh": (mesh.solid_mesh, 2),
    **{f"{part} in 3D": (functools.partial(_dots, go.Scatter3d, part), 2) for part in _ROWS},
}
