"""The files of one person of AGORA: where its crop is, and parameters, cameras, joints and vertices."""

import numpy as np

from handlib import body_joints, geometry, safe_pickle
from handlib.datasets import coco, people, pickled_tensors
from handlib.datasets import numbers as figures
from handlib.files import InputError, read_json

PATHS = {  # source -> {kind of file: the annotation's member that holds its path}
    "hand4whole": {"params": "smplx_param_path", "camera": "cam_param_path"},
    "osx": {"params": "smplx_param_path", "pixels": "smplx_joints_2d_path", "joints": "smplx_joints_3d_path",
            "verts": "smplx_verts_path"},
}  # fmt: skip
MEND = "make the file anew with the tool that made the others"
_PARAMETERS = {"global_orient": 3, "body_pose": 63, "jaw_pose": 3, "leye_pose": 3, "reye_pose": 3, "left_hand_pose": 45,
               "right_hand_pose": 45, "expression": 10, "transl": 3}  # fmt: skip
_POSE = ("global_orient", "body_pose", "jaw_pose", "leye_pose", "reye_pose", "left_hand_pose", "right_hand_pose")
_FOLDERS = "images_3840x2160", "3840x2160"
_NAMES = {"hand4whole": ("person_id",), "osx": ("ann_id",), "any": ("person_id", "pid")}  # "any": of the test split
SHAPES = 10
_FLATTEST = 1e-9  # of a map's determinant


def crop_of(root, folder, stem, number, source):
    """(path, `coco.Picture`, affine (2, 3) picture -> crop) of a person's crop, or None. Raises InputError.

    source: whose number it is, "hand4whole", "osx" or "any": the crops of both may lie side by side.
    Hand4Whole's tool writes the map as ``affine_mat``, OSX's as ``img2bb_trans``; both are read.
    """
    for top in _FOLDERS:
        for name in _NAMES[source]:
            path = root / top / f"{folder}_crop" / f"{stem}_{name}_{number}.json"
            if path.exists():
                return path.with_suffix(".png"), *told(path)
    return None


def test_boxes(path):
    """{a picture's name: [an entry with a box for each person]} of the test split's file. Raises InputError."""
    found = read_json(path, MEND)
    if not isinstance(found, dict) or not all(isinstance(entries, list) for entries in found.values()):
        raise InputError(path, "does not hold a list of boxes for each picture", MEND)
    for name in found:
        coco.relative(path, name, "a picture's name")
    return found


def told(path):
    """What the file beside a crop says: its size, as `coco.Picture`, and the map (2, 3). Raises InputError."""
    found = read_json(path, MEND)
    width, height = (coco.whole(path, found, f"resized_{side}", "crop") for side in ("width", "height"))
    if not all(0 < side < coco.LARGEST_SIDE for side in (width, height)):
        raise InputError(path, f"is {width} x {height} pixels", MEND, "crop.resized_width")
    member = next((one for one in ("affine_mat", "img2bb_trans") if one in found), "affine_mat")
    affine = coco.numbers(path, found, member, (2, 3), "crop")
    if abs(np.linalg.det(affine[:, :2])) < _FLATTEST:
        raise InputError(path, "maps the picture to a line", MEND, f"crop.{member}")
    return coco.Picture(path.stem, width, height, found), affine


def opened(sample):
    """A sample whose ``files`` = (source, {kind: path}) have been read. Raises InputError."""
    source, paths = sample["files"]
    out = {name: value for name, value in sample.items() if name != "files"}
    if not paths:
        K = people.virtual_camera(out["bbox"], _size(out), bool(out["bbox_final"]))
        return out | {"K": K} | people.no_joints() | people.no_fit()
    return out | (_hand4whole if source == "hand4whole" else _osx)(out, paths)


def _size(sample):
    return coco.Picture("", sample["width"], sample["height"], {})


def _hand4whole(sample, paths):
    fit = _fit(_checked(paths["params"], read_json(paths["params"], MEND)), np.ones(4, bool))
    camera = read_json(paths["camera"], MEND)
    focal, centre = (coco.numbers(paths["camera"], camera, name, (2,), "camera") for name in ("focal", "princpt"))
    affine = sample["picture_affine"]
    scale = affine[[0, 1], [0, 1]]
    K = geometry.intrinsics(focal * scale, centre * scale + affine[:, 2])
    return people.no_joints() | fit | {"K": K, "is_3d": np.bool_(True), "joints_of_fit": np.bool_(True)}


def _osx(sample, paths):
    def numbers(kind, shape):
        return coco.numbers(paths[kind], {kind: read_json(paths[kind], MEND)}, kind, shape, "file")

    joint_set = body_joints.SMPLX127
    pixels = geometry.apply_affine(numbers("pixels", (len(joint_set), 2)), sample["picture_affine"].astype(np.float32))
    out = people.joints(joint_set, pixels, np.ones(len(joint_set)), numbers("joints", (len(joint_set), 3)))
    out |= _fit(parameters(paths["params"]), np.ones(4, bool))
    out["smplx_pose_valid"][0] = False  # it is the world's
    out["smplx_joints_valid"][:] = False
    if "verts" in paths:
        verts = figures.fitting(read_json(paths["verts"], MEND), (None, 3))
        if verts is None or not len(verts):
            raise InputError(paths["verts"], "is not a list of points, 3 finite numbers each", MEND, "verts")
        out["smplx_verts"] = verts.astype(np.float32)
    K = people.virtual_camera(sample["bbox"], _size(sample), bool(sample["bbox_final"]))
    return out | {"K": K}


def parameters(path, shapes=SHAPES):
    """A fit's official pickle, of arrays or of torch tensors -> {name: (n,) float64}; the first ``shapes`` of its shape
    numbers. Raises InputError.
    """
    return _checked(path, safe_pickle.read_pickle(path, pickled_tensors.readers(path), MEND), shapes)


def _checked(path, told, shapes=SHAPES):
    """The parameters by name; children's eleventh shape number is left out, as published."""
    if not isinstance(told, dict):
        raise InputError(path, "holds no parameters by name", MEND)
    read = {name: coco.numbers(path, told, name, (size,), "parameters") for name, size in _PARAMETERS.items()}
    shape = figures.array(told.get("betas"), 1 << 10)
    shape = np.zeros(0) if shape is None else shape.ravel()
    if shape.size < shapes:
        raise InputError(path, f"is not at least {shapes} finite numbers", MEND, "betas")
    return read | {"betas": shape[:shapes]}


def _fit(read, valid):
    """The parameters as fields; eyes do not turn, as published."""
    pose = np.concatenate([read[name] for name in _POSE]).reshape(55, 3)
    pose[23:25] = 0
    return people.fit_fields(pose, read["betas"], read["expression"], read["transl"], valid)
