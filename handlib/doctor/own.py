"""What does not belong to one data set: body models, packs, checkpoints, demo data."""

import dataclasses
from pathlib import Path

from handlib import runs
from handlib.doctor.rows import BROKEN, MISSING, OLD, PRESENT, Row, file, folder, names, reason
from handlib.files import InputError

MANO_SITE, SMPLX_SITE = "https://mano.is.tue.mpg.de", "https://smpl-x.is.tue.mpg.de"
SMPL_SITE = "https://smpl.is.tue.mpg.de"
EXPOSE_SITE = "https://github.com/vchoutas/expose"
AGORA_SITE = "https://github.com/pixelite1201/agora_evaluation"
DIGIT_SITE = "https://github.com/zc-alexfan/digit-interacting"
HRNET_SITE = "https://github.com/HRNet/HRNet-Human-Pose-Estimation"
RESNET_SITE = "https://download.pytorch.org/models/resnet50-0676ba61.pth"
ZOOS = {  # folder of published checkpoints -> where they are from
    "oakink": "https://huggingface.co/oakink/OakInk-v1-HMR",
    "handoccnet": "https://github.com/namepllet/HandOccNet",
    "hand4whole": "https://github.com/mks0601/Hand4Whole_RELEASE",
    "osx": "https://github.com/IDEA-Research/OSX",
}
_PACKAGE = Path(__file__).parents[1]


def bodies(root):
    group, home = "Body models", root / "bodies"
    for what in ("hand", "body"):
        path = _PACKAGE / "bodies" / "data" / f"free_{what}.npz"
        yield _model(group, f"free {what}", path, "install handlib again")
    for side in ("right", "left"):
        path = home / "mano" / f"MANO_{side.upper()}.pkl"
        yield _model(group, f"MANO {side} hand", path, MANO_SITE, "mano", "the free hand stands in")
    path = home / "smplx" / "SMPLX_NEUTRAL.npz"
    yield _model(group, "SMPL-X", path, SMPLX_SITE, "smplx", "the free body stands in")
    yield _model(group, "SMPL", home / "smpl" / "SMPL_NEUTRAL.pkl", SMPL_SITE, "smpl", "for 3DPW only")
    index_files = {  # whole-body figures count these vertices and joints
        "smplx/MANO_SMPLX_vertex_ids.pkl": ("SMPL-X's hand vertices", SMPLX_SITE),
        "smplx/SMPL-X__FLAME_vertex_ids.npy": ("SMPL-X's face vertices", SMPLX_SITE),
        "smplx/SMPLX_to_J14.pkl": ("SMPL-X to 14 joints", EXPOSE_SITE),
        "agora/body_verts_smplx.npy": ("AGORA's body vertices", AGORA_SITE),
        "agora/body_verts_smpl.npy": ("AGORA's body vertices, SMPL", AGORA_SITE),
    }
    for name, (what, source) in index_files.items():
        yield file(group, what, home / name, source, "for whole-body figures only")


def _model(group, what, path, source, kind=None, detail=""):
    row = file(group, what, path, source, detail)
    if row.status != PRESENT or kind is None:
        return row
    try:
        from handlib.bodies import files, free

        extra = files.read(path, kind).extra
    except Exception as error:  # a wrong file, or a broken numpy
        return dataclasses.replace(row, status=BROKEN, detail=reason(error))
    if free.MARK in extra:
        word = "hand" if kind == "mano" else "body"
        return dataclasses.replace(row, detail=f"the free {word}, written in {what.split()[0]}'s format; not it")
    return row


def packs(root):
    group, home = "Packs", runs.data_outputs(root) / "packs"
    found = names(home)
    if not found:
        yield Row(group, "packs of this data root", MISSING, "", str(home), "notebook 01, or `handlib pack`")
    for name in found:
        yield _pack(group, name, home / name)


def _pack(group, name, path):
    try:
        from handlib import packs

        pack = packs.open(path)
        return Row(group, name, PRESENT, f"{len(pack)} samples", str(path))
    except InputError as error:
        status = OLD if error.field == "format" else BROKEN
        return Row(group, name, status, error.problem, str(path), error.mend)
    except Exception as error:  # lmdb, pyarrow or numpy may be what is broken
        return Row(group, name, BROKEN, reason(error), str(path))


def checkpoints(root):
    group, home = "Checkpoints", root / "checkpoints"
    found = [name for name in names(home / "digit") if name.endswith((".pt", ".ckpt", ".safetensors"))]
    for name in found or ["db7cba8c1.pt"]:
        detail = "" if found else "DIGIT's published weights"
        yield file(group, f"digit/{name}", home / "digit" / name, DIGIT_SITE, detail)
    for name, source, what in (
        ("hrnet_w32-36af842e.pth", HRNET_SITE, "DIGIT"),
        ("resnet50-0676ba61.pth", RESNET_SITE, "OakInk's networks and HandOccNet"),
    ):
        stem = name.partition("-")[0] if name.startswith("resnet") else name.partition(".")[0]
        there = next((other for other in names(home) if other.startswith(stem)), name)
        yield file(group, there, home / there, source, f"ImageNet backbone, to train {what} as published")
    for name, source in ZOOS.items():
        zoo = names(home / name)
        yield folder(group, name, home / name, source, f"{', '.join(zoo[:3])}; files")
    yield from _trained(group, runs.data_outputs(root))


def _trained(group, outputs):
    """The last epoch of every training below ``outputs``."""
    for run in names(outputs):
        link = outputs / run / "checkpoints" / "last"
        if link.is_symlink():
            row = file(group, f"trained in {run}", link / "weights.safetensors", "train again")
            yield dataclasses.replace(row, place=str(link.resolve()))


def demo(root):
    home = root if root.name == "demo" else root / "demo"
    row = folder("Demo data", "demo data", home / "InterHand" / "images", "`make demo`", "splits")
    yield dataclasses.replace(row, place=str(home))
