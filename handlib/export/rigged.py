"""Hands and persons as GLB: skinned meshes with the 16 joints of MANO, or the 55 of SMPL-X, as a skeleton, for Blender,
three.js, Unity, Windows…

A picture gives one pose; a clip of pictures an animation with rotations per frame. Beside them there is a camera that
sees them as the picture shows them, exactly where the principal point is the picture's middle (glTF knows no
other).
"""

import dataclasses

import numpy as np

from handlib.export import gltf, rigs
from handlib.export.axes import signs
from handlib.files import InputError
from handlib.render import vertex_normals
from handlib.viewer import palette

_HALF_TURN = [1.0, 0.0, 0.0, 0.0]  # about x: from y down to y up


@dataclasses.dataclass(frozen=True)
class Written:
    """What a GLB is worth: ``path``, the number of ``meshes`` (hands or persons) and ``frames``, and distances of
    vertices (worst of all): deviation_m from the mesh of the rig to the one predicted; weights_deviation_m what keeping
    four weights per vertex would cost if the rest mesh did not make up for it.
    """

    path: object
    meshes: int
    frames: int
    deviation_m: float
    weights_deviation_m: float


def glb(prediction, path, layers, axes="y_up"):
    """Write the hands or persons of one picture; returns `Written`.

    prediction: `handlib.predict.Prediction`; layers: {label: layer} that made it (Predictor.layers); axes: "y_up", as
    glTF means it, or "house". Metres. Raises InputError where there is none, and for other layers.
    """
    tracks = [(label, [(0, number)]) for number, label in enumerate(prediction.labels)]
    return _write([prediction], tracks, path, layers, axes, None)


def glb_clip(predictions, path, layers, fps, tracks=None, axes="y_up"):
    """Write the hands or persons of a clip as one animation; returns `Written`.

    predictions: one per frame, in order; tracks: as `handlib.smoothing.tracks` gives them (None: found here); one that
    a frame lacks has size 0 there. With `handlib.smoothing.smooth` before it, one shape holds for the whole track, and
    deviation_m is what the missing corrections by pose, and of a face by expression, cost.
    """
    from handlib import smoothing

    if not fps > 0:
        raise InputError(path, f"{fps} frames per second", "give a number above 0", field="fps")
    tracks = smoothing.tracks(predictions) if tracks is None else tracks
    followed = [(track.label, list(zip(track.frames, track.numbers, strict=True))) for track in tracks]
    return _write(list(predictions), followed, path, layers, axes, fps)


def _write(predictions, tracks, path, layers, axes, fps):
    turned, subject = signs(axes, path)[1] < 0, predictions[0].subject
    if not tracks:
        problem, mend = f"there is no {subject.noun} to write", f"give boxes that hold {subject.plural}"
        raise InputError(path, problem, mend, field=subject.plural)
    document = gltf.Document()
    animation = {"name": subject.plural, "channels": [], "samplers": []}
    made, scene = [], []
    for number, (label, places) in enumerate(tracks):
        made.append(_rig(predictions, places, layers[label], label))
        name = f"{label} {subject.noun}" if subject.sided else label
        name += "" if len(tracks) == 1 else f" {number}"
        nodes, joints = _skinned(document, made[-1], palette.of_label(label, number), name, turned)
        scene += nodes
        if fps:
            _animate(document, animation, made[-1], joints, [frame / fps for frame, _ in places])
            _hide(document, animation, nodes[0], [frame for frame, _ in places], len(predictions), fps)
    scene.append(_camera(document, predictions[0], turned))
    document.add("scenes", name=str(predictions[0].name) or subject.plural, nodes=scene)
    document.content["scene"] = 0
    if fps:
        document.content["animations"] = [animation]
    document.write(path)
    worst = [max(getattr(one, name) for one in made) for name in ("deviation_m", "weights_deviation_m")]
    return Written(path, len(tracks), len(predictions), *worst)


def _rig(predictions, places, layer, label):
    """The rig of a track, [(frame, number), …]."""
    seen = [(predictions[frame], number) for frame, number in places]
    pose, transl, verts, *blends = (
        np.stack([np.asarray(getattr(one, name)[number], float) for one, number in seen])
        for name in ("pose_from_mean", "transl", "verts_cam", "shape", "expression") if hasattr(seen[0][0], name)
    )  # fmt: skip
    named = {name: value for name, value in zip(("shape", "expression"), blends, strict=False) if value.shape[1]}
    return rigs.rig(layer, pose, named, transl, verts, label)


def _skinned(document, rig, colour, name, turned):
    """Skeleton and skinned mesh: the numbers of their nodes in the scene, and those of the joints."""
    first = len(document.content.get("nodes", []))
    joints = [
        document.add("nodes", name=f"{name} {joint}", rotation=turn, translation=offset)
        for joint, turn, offset in zip(rig.names, rig.turns[0].tolist(), _offsets(rig).tolist(), strict=True)
    ]
    for joint, parent in enumerate(rig.parents):
        if parent >= 0:
            document.content["nodes"][first + parent].setdefault("children", []).append(joints[joint])
    rotation = {"rotation": _HALF_TURN} if turned else {}
    armature = document.add("nodes", name=f"{name} skeleton", children=[joints[0]], **rotation)
    inverse = np.tile(np.eye(4, dtype=np.float32), (len(joints), 1, 1))
    inverse[:, :3, 3] = -rig.joints
    skin = document.add(
        "skins", name=name, joints=joints, skeleton=armature, inverseBindMatrices=document.array(inverse)
    )
    mesh = document.add("nodes", name=name, mesh=_mesh(document, rig, colour, name), skin=skin)
    return [armature, mesh], joints


def _offsets(rig):
    """Each joint from its parent at rest; the root where the first frame has it. (J, 3)"""
    return np.where(rig.parents[:, None] < 0, rig.roots[0], rig.joints - rig.joints[rig.parents])


def _mesh(document, rig, colour, name):
    normals = vertex_normals(rig.verts, rig.faces)
    normals[~normals.any(1)] = (0, 0, 1)  # of vertices without a face: glTF wants unit length
    attributes = {
        "POSITION": document.array(rig.verts.astype(np.float32), gltf.VERTICES, bounds=True),
        "NORMAL": document.array(normals.astype(np.float32), gltf.VERTICES),
        "JOINTS_0": document.array(rig.places, gltf.VERTICES),
        "WEIGHTS_0": document.array(rig.weights, gltf.VERTICES),
    }
    material = document.add(
        "materials", name=f"{name} skin", doubleSided=True,  # a hand's wrist is open
        pbrMetallicRoughness=dict(baseColorFactor=gltf.linear(colour), metallicFactor=0.0, roughnessFactor=0.65),
    )  # fmt: skip
    indices = document.array(rig.faces.astype(np.uint16).ravel(), gltf.INDICES)
    primitive = {"attributes": attributes, "indices": indices, "material": material}
    return document.add("meshes", name=name, primitives=[primitive])


def _camera(document, prediction, turned):
    """A camera that looks as the picture's did: glTF's looks along -z with y up."""
    (width, height), K = prediction.size, prediction.K
    perspective = dict(
        yfov=float(2 * np.arctan(height / 2 / K[1, 1])), znear=0.01, zfar=100.0,
        aspectRatio=float(width * K[1, 1] / (height * K[0, 0])),
    )  # fmt: skip
    camera = document.add("cameras", type="perspective", perspective=perspective)
    return document.add("nodes", name="camera", camera=camera, **({} if turned else {"rotation": _HALF_TURN}))


def _animate(document, animation, rig, joints, seconds):
    """Channels of a rig: every joint's rotation and the root's place."""
    times = document.array(np.array(seconds, np.float32), bounds=True)
    for joint, node in enumerate(joints):
        _channel(document, animation, times, rig.turns[:, joint], node, "rotation")
    _channel(document, animation, times, rig.roots, joints[0], "translation")


def _hide(document, animation, armature, frames, count, fps):
    """Size 0 where a clip lacks the hand or person; nothing for one that is always there."""
    there = np.isin(np.arange(count), frames)
    if there.all():
        return
    steps = np.flatnonzero(np.diff(there, prepend=~there[:1]))
    times = document.array((steps / fps).astype(np.float32), bounds=True)
    sizes = np.repeat(there[steps, None].astype(np.float32), 3, 1)
    _channel(document, animation, times, sizes, armature, "scale", "STEP")


def _channel(document, animation, times, values, node, path, interpolation="LINEAR"):
    output = document.array(np.asarray(values, np.float32))
    animation["samplers"].append(dict(input=times, output=output, interpolation=interpolation))
    target = {"node": node, "path": path}
    animation["channels"].append({"sampler": len(animation["samplers"]) - 1, "target": target})
