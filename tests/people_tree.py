"""Small folders of whole-body data sets for tests, in the official layouts."""

import json
import pickle

import cv2
import numpy as np

WIDTH, HEIGHT = 64, 48
CAMERA = {"focal": [80.0, 81.0], "princpt": [32.0, 24.0]}


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def change(path, edit):
    """Rewrite a JSON file by ``edit(value)``, which changes it in place or gives another."""
    value = json.loads(path.read_text())
    other = edit(value)
    path.write_text(json.dumps(value if other is None else other))


def picture(path, seed=0, size=(WIDTH, HEIGHT)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    cv2.imwrite(str(path), pixels)


def numbers(draw, count, spread=0.3):
    return draw.uniform(-spread, spread, count).round(4).tolist()


def fit(draw, hands=True):
    """A NeuralAnnot fit; without hands, it has no hands and no face."""
    own = {"root_pose": numbers(draw, 3), "body_pose": numbers(draw, 63), "shape": numbers(draw, 10)}
    own["trans"] = [0.1, -0.2, 5.0]
    if hands:
        own |= {"lhand_pose": numbers(draw, 45), "rhand_pose": numbers(draw, 45), "jaw_pose": numbers(draw, 3)}
        own |= {"expr": numbers(draw, 10), "lhand_valid": True, "rhand_valid": False, "face_valid": True}
    return own


def images(count, **members):
    return [{"id": n, "file_name": f"{n:03d}.png", "width": WIDTH, "height": HEIGHT, **members} for n in range(count)]


def person(draw, number, image):
    """An annotation of COCO-WholeBody: everything visible but the right hand and the tip of the nose."""

    def points(count, seen=2):
        pixels = np.c_[draw.uniform(5, 40, (count, 2)).round(3), np.full(count, seen)]
        return pixels.ravel().tolist()

    face = np.reshape(points(68), (68, 3))
    face[30, 2] = 0  # Face_18
    return {
        "id": number, "image_id": image, "iscrowd": 0, "num_keypoints": 17, "bbox": [10.5, 5.25, 30.0, 35.0],
        "keypoints": points(17), "foot_kpts": points(6), "lefthand_kpts": points(21),
        "righthand_kpts": points(21, 0), "face_kpts": face.ravel().tolist(),
        "lefthand_valid": True, "righthand_valid": False, "face_valid": True,
        "lefthand_box": [12.0, 8.0, 6.0, 7.0], "righthand_box": [0.0, 0.0, 0.0, 0.0], "face_box": [20.0, 6.0, 8.0, 9.0],
    }  # fmt: skip


def mscoco(root):
    """Two pictures: four persons of whom one is a crowd and one has no keypoints; one fit."""
    draw = np.random.default_rng(1)
    people = [person(draw, 10 + n, n // 2) for n in range(4)]
    people[1]["iscrowd"], people[2]["num_keypoints"] = 1, 0
    write(root / "annotations/coco_wholebody_train_v1.0.json", {"images": images(2), "annotations": people})
    fits = {"10": {"smplx_param": fit(draw), "cam_param": CAMERA}}
    write(root / "annotations/MSCOCO_train_SMPLX_all_NeuralAnnot.json", fits)
    for n in range(2):
        picture(root / f"images/train2017/{n:03d}.png", n)
    return root


def ehf(root):
    """Two pictures with meshes of five vertices, one of them binary."""
    rows = [{"id": n, "image_id": n, "body_bbox": [10, 5, 30, 40], "lefthand_bbox": [1.0, 2, 3, 4],
             "righthand_bbox": [5.0, 6, 7, 8], "face_bbox": [9.0, 10, 11, 12]} for n in range(2)]  # fmt: skip
    names = [{**one, "file_name": f"{n + 1:02d}_img.png"} for n, one in enumerate(images(2))]
    write(root / "data/EHF.json", {"images": names, "annotations": rows})
    header = "element vertex 5\nproperty float x\nproperty float y\nproperty float z\nelement face 0\n"
    header += "property list uchar int vertex_indices\nend_header\n"
    verts = np.arange(15, dtype="<f4").reshape(5, 3)
    text = "\n".join(" ".join(map(str, row)) for row in verts.tolist()) + "\n"
    (root / "data/01_align.ply").write_text("ply\nformat ascii 1.0\n" + header + text)
    start = ("ply\nformat binary_little_endian 1.0\n" + header).encode()
    (root / "data/02_align.ply").write_bytes(start + verts.tobytes())
    for n in range(2):
        picture(root / f"data/{n + 1:02d}_img.png", n)
    return root


def ubody(root):
    """Two scenes of two videos, four annotated frames each; the second video of each is for the test."""
    draw = np.random.default_rng(2)
    for scene in ("Movie", "Talkshow"):
        names = [f"/{scene}_{video}_Trim1/{n:06d}.png" for video in "ab" for n in (1, 2)]
        pictures = [{**one, "file_name": name} for one, name in zip(images(4), names, strict=True)]
        people = [person(draw, n, n) | {"valid_label": 2} for n in range(4)]
        folder = root / "annotations" / scene
        write(folder / "keypoint_annotation.json", {"images": pictures, "annotations": people})
        fits = {}
        for n in range(4):
            fits[str(n)] = {"smplx_param": fit(draw), "cam_param": CAMERA}
            for name in ("lhand_valid", "rhand_valid", "face_valid"):
                del fits[str(n)]["smplx_param"][name]
            picture(root / "images" / scene / names[n][1:], n)
        write(folder / "smplx_annotation.json", fits)
    (root / "splits").mkdir()
    for which, listed in (("intra", ["Movie_b", "Talkshow_b"]), ("inter", ["Movie_a", "Movie_b"])):
        np.save(root / f"splits/{which}_scene_test_list.npy", np.array(listed))
    return root


AFFINE = [[0.1, 0.0, -4.0], [0.0, 0.1, -8.0]]


def _agora_boxes():
    return {"bbox": [50.0, 90.0, 380.0, 400.0], "lhand_bbox": [60.0, 100.0, 50.0, 60.0],
            "rhand_bbox": [200.0, 150.0, 40.0, 60.0], "face_bbox": [200.0, 100.0, 80.0, 90.0]}  # fmt: skip


def _agora_parameters(draw, shapes=10):
    sizes = {"global_orient": 3, "body_pose": 63, "jaw_pose": 3, "leye_pose": 3, "reye_pose": 3, "left_hand_pose": 45,
             "right_hand_pose": 45, "betas": shapes, "expression": 10}  # fmt: skip
    return {name: numbers(draw, size) for name, size in sizes.items()} | {"transl": [0.3, -0.1, 9.0]}


def _agora_crop(folder, stem, key):
    picture(folder / f"{stem}.png", 3)
    told = {"bbox": [1.0, 2, 3, 4], key: AFFINE, "resized_height": HEIGHT, "resized_width": WIDTH}
    write(folder / f"{stem}.json", told)


def agora(root):
    """Hand4Whole's training, OSX's validation and the test boxes: two persons in one picture each, and one in training
    who is marked as not valid.
    """
    draw, data = np.random.default_rng(3), root / "data"
    pictures = [{"id": 0, "file_name_3840x2160": "images_3840x2160/train_0/ag_0.png",
                 "file_name_1280x720": "images_1280x720/train_0/ag_0_1280x720.png"}]  # fmt: skip
    people = []
    for n in range(3):
        people.append({"id": n, "image_id": 0, "person_id": n, "is_valid": n < 2, "gender": "female", **_agora_boxes(),
                       "smplx_param_path": f"./cam/{n}.json", "cam_param_path": "./cam/camera.json"})  # fmt: skip
        write(data / f"cam/{n}.json", _agora_parameters(draw))
        _agora_crop(data / "images_3840x2160/train_0_crop", f"ag_0_person_id_{n}", "affine_mat")
    write(data / "cam/camera.json", {"focal": [1920.0, 1920.0], "princpt": [1920.0, 1080.0]})
    write(data / "AGORA_train_SMPLX.json", {"images": pictures, "annotations": people})
    picture(data / "images_1280x720/train_0/ag_0_1280x720.png", 4, (1280, 720))
    _agora_osx(data, draw)
    write(data / "AGORA_test_bbox.json", {"ag_t.png": [{"bbox": [500.0, 400, 300, 900]}, {"bbox": [900, 400, 0, 9]}]})
    for n in range(2):
        _agora_crop(data / "3840x2160/test_crop", f"ag_t_pid_{n}", "img2bb_trans")
    return root


def _agora_osx(data, draw):
    pictures = [{"id": 0, "file_name_3840x2160": "3840x2160/validation/ag_1.png",
                 "file_name_1280x720": "1280x720/validation/ag_1_1280x720.png"}]  # fmt: skip
    people = []
    for n in (5, 6):
        paths = {f"smplx_{kind}_path": f"./gt/{kind}_{n}.json" for kind in ("joints_2d", "joints_3d", "verts")}
        people.append({"id": n, "image_id": 0, "is_valid": True, "gender": "male", **_agora_boxes(), **paths,
                       "smplx_param_path": f"./gt/{n}.pkl"})  # fmt: skip
        write(data / f"gt/joints_2d_{n}.json", draw.uniform(50, 600, (127, 2)).tolist())
        write(data / f"gt/joints_3d_{n}.json", (draw.uniform(-1, 1, (127, 3)) + [0, 0, 8]).tolist())
        write(data / f"gt/verts_{n}.json", draw.uniform(-1, 1, (7, 3)).tolist())
        arrays = {name: np.array([value], np.float32) for name, value in _agora_parameters(draw, 11).items()}
        (data / f"gt/{n}.pkl").write_bytes(pickle.dumps(arrays, protocol=2))
        _agora_crop(data / "3840x2160/validation_crop", f"ag_1_ann_id_{n}", "img2bb_trans")
    write(data / "AGORA_validation.json", {"images": pictures, "annotations": people})


TURN = [[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]
SHIFT = [100.0, 200.0, 4000.0]  # mm


def human36m(root):
    """Subject 9: frames 0, 1 and 64 of camera 4, and frame 0 of camera 1; subject 11: nothing."""
    draw, folder = np.random.default_rng(4), root / "annotations"
    for subject in (9, 11):
        frames = [(0, 4), (1, 4), (64, 4), (0, 1)] if subject == 9 else []
        pictures = images(len(frames), subject=subject, action_idx=2, subaction_idx=1)
        for one, (frame, camera) in zip(pictures, frames, strict=True):
            one |= {"frame_idx": frame, "cam_idx": camera}
            picture(root / "images" / one["file_name"], frame)
        rows = [{"id": n, "image_id": n, "bbox": [10.0, 5.0, 30.0, 40.0]} for n in range(len(frames))]
        start = folder / f"Human36M_subject{subject}"
        write(start.with_name(start.name + "_data.json"), {"images": pictures, "annotations": rows})
        camera = {"R": TURN, "t": SHIFT, "f": CAMERA["focal"], "c": CAMERA["princpt"]}
        write(start.with_name(start.name + "_camera.json"), {"1": camera, "4": camera})
        joints = {str(frame): draw.uniform(-300, 300, (17, 3)).tolist() for frame in (0, 1, 64)}
        write(start.with_name(start.name + "_joint_3d.json"), {"2": {"1": joints}})
        fits = {"0": fit(draw, hands=False)}
        write(start.with_name(start.name + "_SMPLX_NeuralAnnot.json"), {"2": {"1": fits}})
    return root


def mpi_inf_3dhp(root):
    """Frames 0, 2 and 3 of one camera."""
    draw, data = np.random.default_rng(5), root / "data"
    pictures = images(3, subject_idx=1, seq_idx=2, cam_idx=7)
    for one, frame in zip(pictures, (0, 2, 3), strict=True):
        one["frame_idx"] = frame
        picture(data / "images_1k/S1/Seq2/imageSequence" / one["file_name"], frame)
    rows = [{"id": n, "image_id": n, "bbox": [10.0, 5.0, 30.0, 40.0]} for n in range(3)]
    write(data / "MPI-INF-3DHP_1k.json", {"images": pictures, "annotations": rows})
    write(data / "MPI-INF-3DHP_camera_1k.json", {"1": {"2": {"7": {"R": TURN, "t": SHIFT, **CAMERA}}}})
    joints = {str(frame): draw.uniform(-300, 300, (17, 3)).tolist() for frame in (0, 3)}
    write(data / "MPI-INF-3DHP_joint_3d.json", {"1": {"2": joints}})
    fits = {str(frame): fit(draw, hands=False) for frame in (0, 3)}
    write(data / "MPI-INF-3DHP_SMPLX_NeuralAnnot.json", {"1": {"2": fits}})
    return root


def mpii(root):
    """Three persons: the first with a fit, the last with a box outside the picture."""
    draw, data = np.random.default_rng(6), root / "data"
    rows = []
    for n in range(3):
        keypoints = np.c_[draw.uniform(5, 40, (16, 2)), draw.integers(0, 2, 16)].ravel().tolist()
        box = [10.0, 5, 30, 40] if n < 2 else [500.0, 5, 30, 40]
        rows.append({"id": n, "image_id": n % 2, "bbox": box, "keypoints": keypoints})
    names = [{**one, "file_name": f"images/{one['file_name']}"} for one in images(2)]
    write(data / "annotations/train.json", {"images": names, "annotations": rows})
    fits = {"0": {"smplx_param": fit(draw, hands=False), "cam_param": CAMERA}}
    write(data / "annotations/MPII_train_SMPLX_NeuralAnnot.json", fits)
    for n in range(2):
        picture(data / f"images/{n:03d}.png", n)
    return root


def pw3d(root):
    """Two persons of one picture."""
    draw, data = np.random.default_rng(7), root / "data"
    rows = [{"id": n, "image_id": 0, "bbox": [10.0, 5, 30, 40], "smpl_param": {
        "pose": numbers(draw, 72), "shape": numbers(draw, 10), "trans": [0.0, 0.1, 4.0],
        "gender": ("male", "female")[n]}} for n in range(2)]  # fmt: skip
    write(data / "3DPW_test.json", {"images": images(1, sequence="s", cam_param=CAMERA), "annotations": rows})
    picture(data / "imageFiles/s/000.png")
    return root


# name -> (maker, split, how many are listed, how many can be used)
SETS = {
    "mscoco": (mscoco, "train", 4, 2), "ehf": (ehf, "test", 2, 2), "ubody": (ubody, "train", 2, 2),
    "agora": (agora, "train", 3, 2), "human36m": (human36m, "test", 2, 2), "mpii": (mpii, "train", 3, 2),
    "mpi_inf_3dhp": (mpi_inf_3dhp, "train", 2, 2), "pw3d": (pw3d, "test", 2, 2),
}  # fmt: skip
