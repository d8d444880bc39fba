"""The data sets' official files: what each is called, where it goes below the data root, and where it is from."""

from handlib.doctor.rows import MISSING, PRESENT, Row, file, folder, names

INTERHAND_SITE = "https://mks0601.github.io/InterHand2.6M/"
OAKINK_SITE = "https://oakink.net (annotations v2.1)"
HO3D_SITE = "https://github.com/shreyashampali/ho3d (v2 or v3)"
DEXYCB_SITE = "https://dex-ycb.github.io"
FREIHAND_SITE = "https://lmb.informatik.uni-freiburg.de/projects/freihand/"
COCO_SITE = "https://cocodataset.org"
WHOLEBODY_SITE = "https://github.com/jin-s13/COCO-WholeBody"
HAND4WHOLE_SITE = "https://github.com/mks0601/Hand4Whole_RELEASE (its parsed data)"
EHF_SITE = "https://smpl-x.is.tue.mpg.de (EHF)"
AGORA_SITE = "https://agora.is.tue.mpg.de"
UBODY_SITE = "https://github.com/IDEA-Research/OSX (UBody)"
PW3D_SITE = "https://virtualhumans.mpi-inf.mpg.de/3DPW"


def interhand(root):
    group, home = "InterHand2.6M", root / "InterHand"
    yield file(group, "skeleton.txt", home / "annotations" / "skeleton.txt", INTERHAND_SITE)
    for split in ("train", "val", "test"):
        yield folder(group, f"{split} pictures", home / "images" / split, INTERHAND_SITE, "captures")
        for kind in ("data", "camera", "joint_3d", "MANO_NeuralAnnot"):
            path = home / "annotations" / split / f"InterHand2.6M_{split}_{kind}.json"
            yield file(group, f"{split} {kind}", path, INTERHAND_SITE)
    for split in ("val", "test"):
        path = home / "rootnet_output" / f"rootnet_interhand2.6m_output_{split}.json"
        yield file(group, f"{split} RootNet output", path, INTERHAND_SITE, "published figures use its boxes and depths")


def oakink(root):
    group, home = "OakInk-Image", root / "OakInk" / "image"
    yield folder(group, "pictures", home / "stream_release_v2", OAKINK_SITE, "sequences")
    for kind in ("cam_intr", "hand_j", "hand_v", "obj_transf", "general_info"):
        yield folder(group, kind, home / "anno" / kind, OAKINK_SITE, "samples")
    for number, mode in enumerate(("default", "subject", "object")):
        for split in ("train", "test"):
            path = home / "anno" / "split" / f"split{number}" / f"seq_{split}.json"
            yield file(group, f"SP{number} ({mode}) {split} list", path, OAKINK_SITE)


def ho3d(root):
    group, home = "HO-3D", root / "HO3D"
    home = home / "data" if (home / "data" / "train").is_dir() else home
    for split in ("train", "evaluation"):
        yield file(group, f"{split} list", home / f"{split}.txt", HO3D_SITE)
        yield folder(group, f"{split} sequences", home / split, HO3D_SITE, "sequences")
    for kind in ("xyz", "verts"):
        path = home / f"evaluation_{kind}.json"
        yield file(
            group, f"evaluation truth, {kind}", path, HO3D_SITE, "released in 2024, to evaluate without a server"
        )


def dexycb(root):
    group, home = "DexYCB", root / "DexYCB"
    subjects = [name for name in names(home) if "-subject-" in name]
    count = f"{len(subjects)} of 10" if subjects else ""
    yield Row(group, "subjects", PRESENT if subjects else MISSING, count, str(home), DEXYCB_SITE)
    for kind in ("intrinsics", ""):
        yield folder(group, f"calibration/{kind}", home / "calibration" / kind, DEXYCB_SITE, "entries")


def freihand(root):
    group, home = "FreiHAND", root / "FreiHAND"
    for split, kinds in (("training", ("K", "xyz", "mano", "verts")), ("evaluation", ("K", "xyz", "verts"))):
        yield folder(group, f"{split} pictures", home / split / "rgb", FREIHAND_SITE, "pictures")
        for kind in kinds:
            yield file(group, f"{split} {kind}", home / f"{split}_{kind}.json", FREIHAND_SITE)


def mscoco(root):
    group, home = "MSCOCO", root / "MSCOCO"
    for split in ("train", "val"):
        yield folder(group, f"{split} pictures", home / "images" / f"{split}2017", COCO_SITE, "pictures")
        path = home / "annotations" / f"coco_wholebody_{split}_v1.0.json"
        yield file(group, f"{split} whole-body keypoints", path, WHOLEBODY_SITE)
    for name, what in (("SMPLX_all", "SMPL-X fits"), ("MANO", "MANO fits, for hands alone")):
        yield file(group, what, home / "annotations" / f"MSCOCO_train_{name}_NeuralAnnot.json", HAND4WHOLE_SITE)


def agora(root):
    group, home = "AGORA", root / "AGORA" / "data"
    for split in ("train", "validation"):
        path = home / f"AGORA_{split}_SMPLX.json"
        yield file(group, f"{split} annotations", path, HAND4WHOLE_SITE, "or made of the official data frames")
    yield file(group, "test boxes", home / "AGORA_test_bbox.json", HAND4WHOLE_SITE)
    for size in ("3840x2160", "1280x720"):
        yield folder(group, f"pictures {size}", home / f"images_{size}", AGORA_SITE, "folders")


def ehf(root):
    group, home = "EHF", root / "EHF" / "data"
    yield file(group, "boxes", home / "EHF.json", HAND4WHOLE_SITE)
    yield file(group, "first picture", home / "01_img.jpg", EHF_SITE)
    yield file(group, "first mesh", home / "01_align.ply", EHF_SITE)


def ubody(root):
    group, home = "UBody", root / "UBody"
    yield folder(group, "annotations", home / "annotations", UBODY_SITE, "scenes")
    yield folder(group, "pictures", home / "images", UBODY_SITE, "scenes")
    for name in ("intra", "inter"):
        yield file(group, f"{name}-scene test list", home / "splits" / f"{name}_scene_test_list.npy", UBODY_SITE)


def human36m(root):
    group, home = "Human3.6M", root / "Human36M"
    yield folder(group, "pictures", home / "images", HAND4WHOLE_SITE, "folders")
    for kind in ("data", "camera", "joint_3d", "SMPLX_NeuralAnnot"):
        path = home / "annotations" / f"Human36M_subject1_{kind}.json"
        yield file(group, f"subject 1 {kind}", path, HAND4WHOLE_SITE, "and so of 5, 6, 7, 8, 9, 11")


def mpii(root):
    group, home = "MPII", root / "MPII" / "data"
    yield folder(group, "pictures", home / "images", HAND4WHOLE_SITE, "pictures")
    for name in ("train", "MPII_train_SMPLX_NeuralAnnot"):
        yield file(group, name, home / "annotations" / f"{name}.json", HAND4WHOLE_SITE)


def mpi_inf_3dhp(root):
    group, home = "MPI-INF-3DHP", root / "MPI_INF_3DHP" / "data"
    yield folder(group, "pictures", home / "images_1k", HAND4WHOLE_SITE, "subjects")
    for kind in ("1k", "joint_3d", "camera_1k", "SMPLX_NeuralAnnot"):
        yield file(group, kind, home / f"MPI-INF-3DHP_{kind}.json", HAND4WHOLE_SITE)


def pw3d(root):
    group, home = "3DPW", root / "PW3D" / "data"
    yield folder(group, "pictures", home / "imageFiles", PW3D_SITE, "sequences")
    for split in ("train", "validation", "test"):
        yield file(group, f"{split} annotations", home / f"3DPW_{split}.json", HAND4WHOLE_SITE)


LOOKS = (
    *(interhand, oakink, ho3d, dexycb, freihand),
    *(mscoco, agora, ehf, ubody, human36m, mpii, mpi_inf_3dhp, pw3d),
)
