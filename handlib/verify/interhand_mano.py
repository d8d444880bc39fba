"""MANO fits of InterHand2.6M and the part classes of DIGIT's masks against the published implementations."""

import hashlib
import re
import tempfile
from pathlib import Path

import numpy as np
import torch

from handlib import fields, geometry, render
from handlib.bodies import files, free, left_shapedirs, parts
from handlib.bodies.mano import ManoLayer, fit_error
from handlib.files import write_json
from handlib.verify import Row, Skip, standin
from handlib.verify.reference import deviation

_TOLERANCE_MM = 1e-3
_STORED = slice(None, None, 8)  # the vertices that mano.npz keeps
_REGRESSOR = "J_regressor_mano_ih26m"
_IMAGE = re.compile(r"(?P<split>\w+)/Capture(?P<capture>\d+)/.*/cam(?P<camera>\d+)/image(?P<frame>\d+)\.jpg")


def fits(ref):
    """Parameters -> mesh in the camera's frame, seal vertex, joints, and the distance to the annotated joints (mm)."""
    layers, arrays = _layers(), ref.npz("mano.npz")
    for case in ref.json("mano.json")["cases"]:
        name = case["case"]
        place = _IMAGE.fullmatch(case["image"])
        world = _posed(layers[case["hand"]], case["parameters"])
        camera = _in_camera(ref, place, world)
        sealed = np.concatenate([camera, _seal(ref, camera)[None]])
        yield Row(name, "mesh_cam_mm", deviation(sealed[_STORED], arrays[f"mesh_cam/{name}"]), _TOLERANCE_MM)
        yield Row(name, "seal_vertex_mm", deviation(sealed[-1], arrays[f"seal_vertex_cam/{name}"]), _TOLERANCE_MM)
        for key, mesh in (("mesh_world_mm", world), ("mesh_cam_mm", sealed)):
            yield Row(name, f"{key}, mean, std, min, max", _off(mesh, case[key]), _TOLERANCE_MM)
        if _REGRESSOR not in arrays:
            yield Skip(f"{name} joints, fit_err_mm", f"mano.npz has no {_REGRESSOR} (non-commercial, not shipped)")
            continue
        joints = arrays[_REGRESSOR].astype(np.float64)
        yield Row(name, "joints_cam_mm", deviation(joints @ camera, arrays[f"joints_cam/{name}"]), _TOLERANCE_MM)
        truth, valid = _annotated(ref, place, case["hand"])
        expected = np.nan if case["fit_err_is_nan"] else case["fit_err_mm"]
        yield Row(name, "fit_err_mm", deviation(fit_error(joints @ world, truth, valid), expected), _TOLERANCE_MM)


def _layers():
    models = {side: files.model(standin.mano(side), f"stand-in, {side}", "mano") for side in ("right", "left")}
    if left_shapedirs.is_faulty(models["left"], models["right"]):
        models["left"] = left_shapedirs.corrected(models["left"])
    return {side: ManoLayer(model, side, torch.float64) for side, model in models.items()}


def _posed(layer, parameters):
    """(778, 3) mm in the world's frame; the pose is an offset from the mean."""
    out = layer(
        pose=parameters["pose"],
        shape=parameters["shape"],
        transl=parameters["trans"],
        pose_kind="rotvec",
        mean_added=False,
    )
    return 1000 * out["verts"].numpy()


def _in_camera(ref, place, points):
    split = place["split"]
    cameras = ref.json(f"fixture/annotations/{split}/InterHand2.6M_{split}_camera.json")[place["capture"]]
    rotation, position = (np.array(cameras[key][place["camera"]]) for key in ("camrot", "campos"))
    return geometry.world_to_camera(points, rotation, position)


def _annotated(ref, place, hand):
    """(21, 3) mm in the world's frame, and (21,) validity, of one hand in InterHand2.6M's order."""
    split = place["split"]
    frames = ref.json(f"fixture/annotations/{split}/InterHand2.6M_{split}_joint_3d.json")[place["capture"]]
    frame, half = frames[place["frame"]], len(fields.HAND21)
    rows = slice(0, half) if hand == "right" else slice(half, None)
    return np.array(frame["world_coord"])[rows], np.array(frame["joint_valid"], bool).reshape(-1)[rows]


def _seal(ref, verts):
    """The vertex with which ``render.seal`` closes a mesh whose only boundary is the reference's wrist ring."""
    ring = np.array(ref.json("segmentation.json")["seal"]["ring"])
    apex = np.setdiff1d(np.arange(len(verts)), ring)[0]
    fan = np.stack([ring, np.roll(ring, -1), np.full(len(ring), apex)], 1)
    return render.seal(verts, fan)[0][len(verts)]


def _off(mesh, statistics):
    return max(abs(getattr(np, key)(mesh) - statistics[key]) for key in ("mean", "std", "min", "max"))


def part_classes(ref):
    """The classes of DIGIT's masks, what mirroring does to them, and how the wrist is closed; deviations are counts."""
    facts = ref.json("segmentation.json")
    named = [entry for entry in facts["classes"] if "label" in entry]
    wrong = sum(parts.digit_classes(entry["mano_joint"], entry["hand"]) != entry["class_id"] for entry in named)
    yield Row("segmentation", "classes that disagree", wrong, 0)
    yield Row("segmentation", "number of classes", abs(parts.CLASSES - facts["n_classes"]), 0)
    ids = {(entry["hand"], entry["label"]): entry["class_id"] for entry in named}
    mirrored = [(ids[hand, label], ids[{"right": "left", "left": "right"}[hand], label]) for hand, label in ids]
    before, after = np.array([(0, 0), *mirrored], np.uint8).T
    yield Row(
        "segmentation", "classes that mirroring disagrees on", int((parts.flip_classes(before) != after).sum()), 0
    )
    model = free.model("right")
    verts, faces = render.seal(model.v_template, model.faces)
    yield Row("segmentation", "index of the seal vertex", abs(len(verts) - 1 - facts["seal"]["vertex_index"]), 0)
    closing = np.arange(len(model.faces), len(faces))
    yield Row("segmentation", "faces that close the wrist", deviation(closing, facts["seal"]["face_indices"]), 0)


def published_labels(ref):
    """The published label list, read as a user's file."""
    facts = ref.json("segmentation.json")
    if "vertex_labels_right" not in facts:
        yield Skip("vertex_labels", "segmentation.json has no label list (non-commercial, not shipped)")
        return
    published = facts["vertex_labels_right"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vertex_segments_right_seal.json"
        write_json(path, published)
        labels = parts.digit_classes(parts.read_published(path), "right").astype(int) - 1
    labels = [*labels.tolist(), published[facts["seal"]["vertex_index"]]]
    digest = hashlib.sha256(",".join(map(str, labels)).encode()).hexdigest()
    wrong = digest != facts["vertex_file"]["sha256_of_comma_joined_labels"]
    yield Row("vertex_labels", "hash of the list as read (0 equal)", int(wrong), 0)
    counts = np.bincount(labels, minlength=len(facts["labels"]))
    yield Row(
        "vertex_labels", "vertices per label", deviation(counts, [entry["n_vertices"] for entry in facts["labels"]]), 0
    )


CHECKS = [fits, part_classes, published_labels]
