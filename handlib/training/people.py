"""Whole bodies in training: targets of a batch, and what a network says about the persons of a pack beside the truth.

True meshes are the data set's own vertices where it has some (EHF, AGORA by OSX's files), else what the network's body
model makes of the fits (AGORA by Hand4Whole's files, UBody, MSCOCO, Human3.6M, MPII, MPI-INF-3DHP); of 3DPW, what the
SMPL model of the person's gender makes of the annotated parameters.
"""

import functools
from pathlib import Path

import torch

from handlib import bodies, geometry
from handlib.body_joints import SMPL45
from handlib.crops import smpl_targets
from handlib.crops.person_targets import meshes_of_fits, targets_from_fits
from handlib.files import InputError
from handlib.networks.blocks import person
from handlib.training.mano import same_body

POSES = ("root_pose", "body_pose", "lhand_pose", "rhand_pose", "jaw_pose", "shape", "expr", "transl")
BOXES = ("lhand_bbox", "rhand_bbox", "face_bbox")


def targets(net, given):
    """Targets of `handlib.crops.person` with those of the fits' joints."""
    if net.layer.kind == "smpl":
        return smpl_targets.targets_from_fits(given, net.layer, net.joints33, net.input)
    return targets_from_fits(given, net.layer, net.input)


def require_same_body(net, packs):
    """InputError where a pack's fits are of another body model than the network's."""
    for pack in packs:
        if net.layer.kind == "smpl" and "smpl_valid" not in pack.manifest["arrays"]:
            problem = f"has no fits of SMPL, from which {net.name} learns"
            raise InputError(pack.folder, problem, "pack mscoco, mpii, human36m with fits='smpl'", "smpl_valid")
        if not same_body(pack, net.layer, "SMPL-X") and has_fits(pack):
            problem = f"has fits of {pack.manifest['fits_of']}; the network's body is {net.layer.source}"
            raise InputError(pack.folder, problem, "give bodies=FOLDER of the model that the fits are of", "bodies")


@functools.lru_cache(maxsize=16)
def has_fits(pack):
    """Whether a pack has a fit of which a mesh in the camera's frame can be made."""
    arrays = pack.manifest["arrays"]
    return "smplx_valid" in arrays and bool(
        (pack.array("smplx_valid")[:, 0] & pack.array("smplx_joints_valid").any(1)).any()
    )


def official(net, out, batch, pack):
    """(predictions, truth) of a batch, float32, under the names of the protocols of whole bodies.

    predictions: ``verts`` (B, V, 3) m before the virtual camera (V 10475, of SMPL 6890); the parameters `POSES` that
    the network gives; ``joints_img`` (B, 144, 2) px of the data set's picture, SMPLX144 (of SMPL (B, 45, 2), SMPL45);
    `BOXES` (B, 4) px of the crop. truth, where anything is known: ``verts`` (B, V, 3) m in the camera's frame, and
    ``known`` (B,), whether this person's are; the others are NaN. Of UBody also ``bb2img_trans`` (B, 2, 3),
    ``image_size`` (B, 2).
    """
    names = [name for name in ("verts", *POSES, *BOXES) if name in out]
    predictions = {name: out[name].float() for name in names}
    predictions["joints_img"] = _in_picture(_projections(net, out), net.input, batch["meta"])
    return predictions, _truth(net, batch, pack)


def _projections(net, out):
    """Joints in cells of the volume."""
    if "joints144_proj" in out:
        return out["joints144_proj"]
    made = net.layer(root_pose=out["root_pose"], body_pose=out["body_pose"], shape=out["shape"], joint_set=SMPL45.name)
    return person.projected(made["joints"], out["transl"], net.input.volume, net.input.size)


def _in_picture(cells, spec, meta):
    """(B, J, 2) cells -> pixels of the picture that the pack's was cut from."""
    cells = cells.detach().double().cpu()
    pixels = cells / cells.new_tensor(spec.volume[:0:-1]) * cells.new_tensor(spec.size)
    return geometry.apply_affine(pixels, meta["picture_inverse"].double()).float()


def _truth(net, batch, pack):
    dataset = pack.manifest["dataset"] if pack is not None else None
    if dataset == "pw3d" or net.layer.kind == "smpl":
        return _smpl_truth(net, batch, pack) if dataset == "pw3d" and net.layer.kind == "smpl" else {}
    meta = batch["meta"]
    if "smplx_verts" in meta:
        verts = meta["smplx_verts"].float()
        known = verts.isfinite().all(-1).all(-1)
    elif pack is not None and (not has_fits(pack) or not same_body(pack, net.layer, "SMPL-X")):
        return {}
    else:
        verts, known = _meshes(net, batch["targets"])
    found = {"verts": torch.where(known[:, None, None], verts, torch.nan), "known": known}
    if dataset == "ubody":
        found["bb2img_trans"], found["image_size"] = meta["inverse"], meta["hw_size"].flip(1)
    return found


def _meshes(net, given):
    """Meshes (B, 10475, 3) of the fits on the CPU, and whether there is one in the camera's frame (B,)."""
    device = net.layer.faces.device
    fits = {name: value.to(device) for name, value in given.items() if name.startswith("fit_")}
    known = (given["fit_valid"] > 0) & (given["smplx_joint_valid"] > 0).flatten(1).any(1)
    return meshes_of_fits(fits, net.layer).float().cpu(), known.cpu()


def _smpl_truth(net, batch, pack):
    """Meshes of 3DPW, by the models of men and women that lie beside the network's."""
    places = batch["index"].cpu().numpy()
    genders = pack.index["gender"].to_numpy()[places]
    given = {name: torch.from_numpy(pack.array(f"smpl_{name}")[places]) for name in ("pose", "shape", "transl")}
    verts = torch.empty(len(places), len(net.layer.weights), 3)
    for gender in sorted(set(genders)):
        rows = torch.from_numpy(genders == gender)
        pose = given["pose"][rows].flatten(1)
        made = _smpl(folder(net.layer), gender)(
            root_pose=pose[:, :3], body_pose=pose[:, 3:], shape=given["shape"][rows], transl=given["transl"][rows]
        )
        verts[rows] = made["verts"]
    return {"verts": verts, "known": torch.ones(len(places), dtype=torch.bool)}


@functools.lru_cache(maxsize=3)
def _smpl(place, gender):
    return bodies.load(place, f"smpl_{gender}")


def folder(layer):
    """The folder of body models that a layer is from: "free", or a path. InputError where it is from no file."""
    if layer.is_free:
        return "free"
    path = Path(layer.source)
    if not path.is_file():
        mend = "create the network with bodies=FOLDER, where the others lie beside it"
        raise InputError("bodies", f"of the network are from no file ({layer.source})", mend)
    return str(path.parent.parent if path.parent.name == layer.kind else path.parent)


def facts(net):
    """What `Predictions.facts` keeps for those who evaluate: options of the protocols that go with these arrays."""
    try:
        place = folder(net.layer)
    except InputError:  # a layer of the caller's own: the protocols' usual folder counts
        return {"options": {"truth_frame": "camera"}}
    return {"options": {"bodies": place, "truth_frame": "camera"}}
