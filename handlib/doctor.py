"""What is present, what is missing, and the exact place and official site of each missing file. Never a traceback.

Only the standard library is imported here: the doctor works where the rest does not.
"""

import dataclasses
import importlib.metadata
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from handlib import runs
from handlib.files import InputError

PRESENT, MISSING, OLD, BROKEN = "present", "missing", "old", "broken"
MANO_SITE, SMPLX_SITE = "https://mano.is.tue.mpg.de", "https://smpl-x.is.tue.mpg.de"
INTERHAND_SITE = "https://mks0601.github.io/InterHand2.6M/"
DIGIT_SITE = "https://github.com/zc-alexfan/digit-interacting"
OAKINK_SITE = "https://oakink.net (annotations v2.1)"
DEXYCB_SITE = "https://dex-ycb.github.io"
HO3D_SITE = "https://github.com/shreyashampali/ho3d (v2 or v3)"
FREIHAND_SITE = "https://lmb.informatik.uni-freiburg.de/projects/freihand/"
OAKINK_ZOO = "https://huggingface.co/oakink/OakInk-v1-HMR"
RESNET_SITE = "https://download.pytorch.org/models/resnet50-0676ba61.pth"
EXPOSE_SITE = "https://github.com/vchoutas/expose"
AGORA_SITE = "https://github.com/pixelite1201/agora_evaluation"
HRNET_SITE = "https://github.com/HRNet/HRNet-Human-Pose-Estimation"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
OLDEST_PYTHON = (3, 11)
LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"


@dataclasses.dataclass(frozen=True)
class Row:
    """One thing looked at. ``place``: where its file is, or goes; ``source``: the official site, or what makes it."""

    group: str
    what: str
    status: str
    detail: str = ""
    place: str = ""
    source: str = ""


def report(data="data"):
    """Look at everything -> list of `Row`. ``data``: the data root. A look that fails is itself a row, "broken"."""
    root = runs.from_root(data)
    looks = (
        _python,
        _torch,
        _locked_packages,
        _tools,
        _bodies,
        _interhand,
        _oakink,
        _ho3d,
        _dexycb,
        _freihand,
        _packs,
        _checkpoints,
        _demo,
    )
    return [row for look in looks for row in _guarded(look, root)]


def _guarded(look, root):
    rows = []
    try:
        for row in look(root):
            rows.append(row)
    except Exception as error:  # whatever is wrong with this machine, the other looks must still be taken
        name = look.__name__.strip("_").replace("_", " ")
        rows.append(Row("Could not be looked at", name, BROKEN, _reason(error)))
    return rows


def main(data="data"):
    """Print the report. Exit code 0, or 1 when Python or torch cannot be used."""
    rows = report(data)
    for group in dict.fromkeys(row.group for row in rows):
        print(f"\n{group}")
        for source, same in itertools.groupby((row for row in rows if row.group == group), lambda row: row.source):
            same = list(same)
            for row in same:
                place = f"-> {row.place}" if row.place and row.status != PRESENT else ""
                print("  " + "  ".join(filter(None, [f"{row.status:8s}", f"{row.what:32s}", row.detail, place])))
            if source and any(row.status != PRESENT for row in same):
                print(f"{'':12s}from {source}")
    print(f"\n{sum(row.status == PRESENT for row in rows)} of {len(rows)} present. `make demo` needs no licensed file.")
    return int(any(row.what in ("Python", "torch") and row.status != PRESENT for row in rows))


# Python and packages

_PACKAGES = "Python and packages"


def _python(_root):
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < OLDEST_PYTHON:
        yield Row(
            _PACKAGES,
            "Python",
            OLD,
            f"{version}, but {'.'.join(map(str, OLDEST_PYTHON))} is the oldest that works",
            source="https://www.python.org",
        )
    else:
        yield Row(_PACKAGES, "Python", PRESENT, version, sys.executable)


def _torch(_root):
    said, problem = _ask(
        "import json, torch; cuda = torch.cuda; torch.ones(2).sum(); "
        "names = [cuda.get_device_name(i) for i in range(cuda.device_count())] if cuda.is_available() else []; "
        "print(json.dumps([torch.__version__, names]))"
    )
    if problem:
        yield Row(_PACKAGES, "torch", BROKEN, problem, source="https://pytorch.org/get-started/locally")
        return
    version, devices = json.loads(said)
    yield Row(_PACKAGES, "torch", PRESENT, version)
    detail = ", ".join(devices) or "none that torch can use; the CPU serves for the demo"
    yield Row(_PACKAGES, "GPU", PRESENT if devices else MISSING, detail)


def _ask(code):
    """Run Python code in a process of its own, which may crash -> (last line printed, None) or (None, why not)."""
    try:
        done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, _reason(error)
    said, complaints = done.stdout.strip().splitlines(), done.stderr.strip().splitlines()
    if done.returncode or not said:
        return None, complaints[-1] if complaints else f"its process ended with code {done.returncode}"
    return said[-1], None


def _locked_packages(_root):
    """Installed versions against requirements.lock, which lies beside the package in a checkout only."""
    if not LOCK.exists():
        return
    other, absent = [], []
    pins = [line.partition("==") for line in LOCK.read_text(encoding="utf-8").splitlines() if "==" in line]
    for name, _, wanted in pins:
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            absent.append(name)
            continue
        if found.partition("+")[0] != wanted:
            other.append(f"{name} {found} (lock: {wanted})")
    mend = "`make test` installs what the lock says"
    if other:
        yield Row(_PACKAGES, "versions as in requirements.lock", OLD, _few(other), str(LOCK), mend)
    if absent:
        yield Row(_PACKAGES, "packages of requirements.lock", MISSING, _few(absent), str(LOCK), mend)
    if not other and not absent:
        yield Row(_PACKAGES, "versions as in requirements.lock", PRESENT, f"{len(pins)} packages", str(LOCK))


def _tools(_root):
    said, problem = _ask("import embreex, embreex.rtcore_scene; print('ok')")
    detail = problem or "ray casting for part masks and pictures"
    yield Row(_PACKAGES, "embree", BROKEN if problem else PRESENT, detail, source="pip install embreex")
    browser = next(filter(None, map(shutil.which, CHROMIUM)), None)
    detail = "for the browser test only"
    yield Row(_PACKAGES, "Chromium", PRESENT if browser else MISSING, detail, browser or "", "apt install chromium")


def _few(names, most=5):
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


# Files


def _file(group, what, path, source, detail=""):
    """A file that is there and not empty, JSON ending as it should; ``detail`` says what it is for."""
    try:
        size = os.stat(path).st_size
        cut = path.suffix == ".json" and not _ends_like_json(path)
    except (FileNotFoundError, NotADirectoryError):
        return Row(group, what, MISSING, detail, str(path), source)
    except OSError as error:
        return Row(group, what, BROKEN, _reason(error), str(path), source)
    if not size or cut:
        problem = "the file is empty" if not size else "cut short: the JSON has no end"
        return Row(group, what, BROKEN, problem, str(path), source)
    return Row(
        group, what, PRESENT, f"{size / 1e6:.1f} MB" if size > 1e6 else f"{size / 1e3:.1f} kB", str(path), source
    )


def _ends_like_json(path):
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 256))
        return file.read().rstrip().endswith((b"}", b"]"))


def _reason(error):
    if isinstance(error, InputError):
        return error.problem
    return f"{type(error).__name__}: {str(error) or 'no message'}".splitlines()[0]


def _bodies(root):
    group, folder = "Body models", root / "bodies"
    yield _model(
        group, "free hand", Path(__file__).parent / "bodies" / "data" / "free_hand.npz", "install handlib again"
    )
    for side in ("right", "left"):
        path = folder / "mano" / f"MANO_{side.upper()}.pkl"
        yield _model(group, f"MANO {side} hand", path, MANO_SITE, "mano", "the free hand stands in")
    path = folder / "smplx" / "SMPLX_NEUTRAL.npz"
    yield _model(group, "SMPL-X", path, SMPLX_SITE, "smplx", "for whole-body networks only")
    index_files = {  # whole-body figures count these vertices and joints
        "smplx/MANO_SMPLX_vertex_ids.pkl": ("SMPL-X's hand vertices", SMPLX_SITE),
        "smplx/SMPL-X__FLAME_vertex_ids.npy": ("SMPL-X's face vertices", SMPLX_SITE),
        "smplx/SMPLX_to_J14.pkl": ("SMPL-X to 14 joints", EXPOSE_SITE),
        "agora/body_verts_smplx.npy": ("AGORA's body vertices", AGORA_SITE),
        "agora/body_verts_smpl.npy": ("AGORA's body vertices, SMPL", AGORA_SITE),
    }
    for name, (what, source) in index_files.items():
        yield _file(group, what, folder / name, source, "for whole-body figures only")


def _model(group, what, path, source, kind=None, detail=""):
    row = _file(group, what, path, source, detail)
    if row.status != PRESENT or kind is None:
        return row
    try:
        from handlib.bodies import files, free

        extra = files.read(path, kind).extra
    except Exception as error:  # a wrong file, or a broken numpy
        return dataclasses.replace(row, status=BROKEN, detail=_reason(error))
    if free.MARK in extra:
        return dataclasses.replace(row, detail="the free hand, written in MANO's format; not MANO")
    return row


def _interhand(root):
    group, folder = "InterHand2.6M", root / "InterHand"
    yield _file(group, "skeleton.txt", folder / "annotations" / "skeleton.txt", INTERHAND_SITE)
    for split in ("train", "val", "test"):
        yield _folder(group, f"{split} pictures", folder / "images" / split, INTERHAND_SITE, "captures")
        for kind in ("data", "camera", "joint_3d", "MANO_NeuralAnnot"):
            path = folder / "annotations" / split / f"InterHand2.6M_{split}_{kind}.json"
            yield _file(group, f"{split} {kind}", path, INTERHAND_SITE)
    for split in ("val", "test"):
        path = folder / "rootnet_output" / f"rootnet_interhand2.6m_output_{split}.json"
        yield _file(
            group, f"{split} RootNet output", path, INTERHAND_SITE, "published figures use its boxes and depths"
        )


def _oakink(root):
    group, folder = "OakInk-Image", root / "OakInk" / "image"
    yield _folder(group, "pictures", folder / "stream_release_v2", OAKINK_SITE, "sequences")
    for kind in ("cam_intr", "hand_j", "hand_v", "obj_transf", "general_info"):
        yield _folder(group, kind, folder / "anno" / kind, OAKINK_SITE, "samples")
    for number, mode in enumerate(("default", "subject", "object")):
        for split in ("train", "test"):
            path = folder / "anno" / "split" / f"split{number}" / f"seq_{split}.json"
            yield _file(group, f"SP{number} ({mode}) {split} list", path, OAKINK_SITE)


def _ho3d(root):
    group, folder = "HO-3D", root / "HO3D"
    folder = folder / "data" if (folder / "data" / "train").is_dir() else folder
    for split in ("train", "evaluation"):
        yield _file(group, f"{split} list", folder / f"{split}.txt", HO3D_SITE)
        yield _folder(group, f"{split} sequences", folder / split, HO3D_SITE, "sequences")
    for kind in ("xyz", "verts"):
        path = folder / f"evaluation_{kind}.json"
        yield _file(
            group, f"evaluation truth, {kind}", path, HO3D_SITE, "released in 2024, to evaluate without a server"
        )


def _freihand(root):
    group, folder = "FreiHAND", root / "FreiHAND"
    for split, kinds in (("training", ("K", "xyz", "mano", "verts")), ("evaluation", ("K", "xyz", "verts"))):
        yield _folder(group, f"{split} pictures", folder / split / "rgb", FREIHAND_SITE, "pictures")
        for kind in kinds:
            yield _file(group, f"{split} {kind}", folder / f"{split}_{kind}.json", FREIHAND_SITE)


def _dexycb(root):
    group, folder = "DexYCB", root / "DexYCB"
    subjects = [name for name in _names(folder) if "-subject-" in name]
    count = f"{len(subjects)} of 10" if subjects else ""
    yield Row(group, "subjects", PRESENT if subjects else MISSING, count, str(folder), DEXYCB_SITE)
    for kind in ("intrinsics", ""):
        yield _folder(group, f"calibration/{kind}", folder / "calibration" / kind, DEXYCB_SITE, "entries")


def _folder(group, what, path, source, things):
    """A folder that holds something; ``things`` says what is counted."""
    try:
        with os.scandir(path) as entries:
            count = sum(1 for _ in entries)
    except (FileNotFoundError, NotADirectoryError):
        count = 0
    except OSError as error:
        return Row(group, what, BROKEN, _reason(error), str(path), source)
    return Row(group, what, PRESENT if count else MISSING, f"{things}: {count}" if count else "", str(path), source)


def _packs(root):
    group, folder = "Packs", runs.data_outputs(root) / "packs"
    names = _names(folder)
    if not names:
        yield Row(group, "packs of this data root", MISSING, "", str(folder), "notebook 01, or `handlib pack`")
    for name in names:
        yield _pack(group, name, folder / name)


def _names(folder):
    """What lies in a folder, temporary files aside; nothing where there is no such folder."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _pack(group, name, path):
    try:
        from handlib import packs

        pack = packs.open(path)
        return Row(group, name, PRESENT, f"{len(pack)} samples", str(path))
    except InputError as error:
        status = OLD if error.field == "format" else BROKEN
        return Row(group, name, status, error.problem, str(path), error.mend)
    except Exception as error:  # lmdb, pyarrow or numpy may be what is broken
        return Row(group, name, BROKEN, _reason(error), str(path))


def _checkpoints(root):
    group, folder = "Checkpoints", root / "checkpoints"
    found = [name for name in _names(folder / "digit") if name.endswith((".pt", ".ckpt", ".safetensors"))]
    for name in found or ["db7cba8c1.pt"]:
        detail = "" if found else "DIGIT's published weights"
        yield _file(group, f"digit/{name}", folder / "digit" / name, DIGIT_SITE, detail)
    backbone = next(
        (name for name in _names(folder) if name.startswith("hrnet_w32-36af842e.")), "hrnet_w32-36af842e.pth"
    )
    yield _file(group, backbone, folder / backbone, HRNET_SITE, "ImageNet backbone, to train DIGIT as published")
    resnet = next((name for name in _names(folder) if name.startswith("resnet50-")), "resnet50-0676ba61.pth")
    yield _file(
        group, resnet, folder / resnet, RESNET_SITE, "ImageNet backbone, to train OakInk's networks as published"
    )
    zoo = _names(folder / "oakink")
    yield _folder(group, "oakink", folder / "oakink", OAKINK_ZOO, f"{', '.join(zoo[:3])}; files")
    yield from _trained(group, runs.data_outputs(root))


def _trained(group, outputs):
    """The last epoch of every training below ``outputs``."""
    for run in _names(outputs):
        link = outputs / run / "checkpoints" / "last"
        if link.is_symlink():
            row = _file(group, f"trained in {run}", link / "weights.safetensors", "train again")
            yield dataclasses.replace(row, place=str(link.resolve()))


def _demo(root):
    demo = root if root.name == "demo" else root / "demo"
    row = _folder("Demo data", "demo data", demo / "InterHand" / "images", "`make demo`", "splits")
    yield dataclasses.replace(row, place=str(demo))
