"""Human3.6M (Ionescu et al., TPAMI 2014) in COCO's layout, with SMPL-X fits of NeuralAnnot (Moon et al., 2022).

``root`` holds ``images/`` and ``annotations/Human36M_subject{S}_{data,camera,joint_3d,SMPLX_NeuralAnnot}.json``, from
the page of Hand4Whole's code. The files' millimetres become metres. Of the fits, made to body joints, ankles' and
wrists' rotations and toes and heels are not valid.
"""

from pathlib import Path

from handlib import body_joints
from handlib.datasets import coco, people, smpl_fits, studio
from handlib.files import InputError, read_json, require, require_choice, require_known

SUBJECTS = {"train": (1, 5, 6, 7, 8), "test": (9, 11)}
EVERY = {"train": 5, "test": 64}
_FRONT = 4  # the one camera of the test split
OFFICIAL = "put the files of the page of Hand4Whole's code there"
_NUMBERS = ("subject", "action_idx", "subaction_idx", "frame_idx", "cam_idx")


def splits(root):
    """The splits of which at least one subject is in ``root``. InputError for none."""
    found = [split for split in SUBJECTS if _there(Path(root), split)]
    if not found:
        raise InputError(Path(root) / "annotations", "holds no Human36M_subject…_data.json", OFFICIAL)
    return found


def _path(root, subject, kind):
    return Path(root) / "annotations" / f"Human36M_subject{subject}_{kind}.json"


def _there(root, split):
    return [subject for subject in SUBJECTS[split] if _path(root, subject, "data").exists()]


def variant(fits="smplx"):
    """What tells packs of one split apart, as a name."""
    return "" if fits == "smplx" else fits


def reader(root, split, every=None, fits="smplx"):
    """`Human36M`."""
    return Human36M(root, split, every, fits)


class Human36M(people.People):
    """Samples of one person each, subject after subject, each in its file's order; without boxes of hands and face.

    split: "train" (subjects 1, 5, 6, 7, 8, all cameras) or "test" (9, 11, camera 4 alone); every: only each so-manyth
    frame counts (published, and default: 5 in training, 64 in test); fits: of "smplx", or of "smpl" (`smpl_fits`),
    which lie in Human36M_subject{S}_SMPL_NeuralAnnot.json.

    Raises InputError for missing, cut or odd files, a subject's missing ones included. Skipped and counted in
    iterating: boxes that keep nothing of the picture, frames without joints.
    """

    def __init__(self, root, split, every=None, fits="smplx"):
        super().__init__("human36m", split)
        self.root = require(root, OFFICIAL)
        require_known([split], SUBJECTS, "Human3.6M", "split")
        self.every = every or EVERY[split]
        require_choice("fits", fits, ("smplx", "smpl"))
        self.options["every"], self.kind = self.every, f"{fits.upper()}_NeuralAnnot"
        self.options["fits"] = fits
        self.facts["fits_of"] = "SMPL" if fits == "smpl" else "SMPL-X"
        self.subjects = {subject: self._subject(subject) for subject in SUBJECTS[split]}

    def _subject(self, subject):
        """(pictures, cameras, joints, fits) of one, whose samples are listed."""
        paths = {kind: _path(self.root, subject, kind) for kind in ("data", "camera", "joint_3d", self.kind)}
        for path in paths.values():
            self.sources[f"annotations/{require(path, OFFICIAL).name}"] = path
        data = paths["data"]
        pictures, rows = coco.read(
            data,
            lambda item, where, place: coco.box(data, item, "bbox", where),
            keep=self._keep,
            empty=True,
            mend=OFFICIAL,
        )
        self.people += [(subject, number, image, *taken) for number, (image, taken) in rows.items()]
        wanted = {self._place(data, picture)[1] for picture in pictures.values()}
        cameras = read_json(paths["camera"], OFFICIAL)
        if not isinstance(cameras, dict):
            raise InputError(paths["camera"], "holds no cameras by name", OFFICIAL)
        joints = studio.read_joints(paths["joint_3d"], wanted, len(body_joints.HUMAN36M17), OFFICIAL)
        read = smpl_fits.read_nested if self.kind.startswith("SMPL_") else studio.read_fits
        fits = read(paths[self.kind], wanted, OFFICIAL)
        found = {name: studio.read_camera(paths["camera"], camera, name, "f", "c") for name, camera in cameras.items()}
        return pictures, found, joints, fits

    def _keep(self, picture):
        frame = coco.whole(self.root, picture, "frame_idx", "images")
        return frame % self.every == 0 and (self.split == "train" or picture.get("cam_idx") == _FRONT)

    @staticmethod
    def _place(path, picture):
        """(numbers, key of joints and fits) of a picture."""
        numbers = {name: coco.whole(path, picture.members, name, picture.name) for name in _NUMBERS}
        return numbers, tuple(str(numbers[name]) for name in _NUMBERS[1:4])

    def sample(self, subject, number, image, box, whole):
        pictures, cameras, joints, fits = self.subjects[subject]
        picture = pictures[image]
        numbers, place = self._place(_path(self.root, subject, "data"), picture)
        key, camera = f"{picture.name.rsplit('.', 1)[0]}/{number}", str(numbers["cam_idx"])
        if camera not in cameras:
            raise InputError(_path(self.root, subject, "camera"), "is not there", OFFICIAL, camera)
        out = people.start(key, self.root / "images" / picture.name, picture, image, number)
        out |= people.boxed(key, box, whole, picture)
        out |= {"subject": subject, "camera": camera, "frame": numbers["frame_idx"], "sequence": "_".join(place[:2])}
        return out | studio.fields(key, body_joints.HUMAN36M17, joints.get(place), cameras[camera], fits, place)
