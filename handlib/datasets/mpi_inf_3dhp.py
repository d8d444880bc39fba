"""MPI-INF-3DHP (Mehta et al., 3DV 2017) in COCO's layout, with SMPL-X fits of NeuralAnnot (Moon et al., 2022).

``root`` holds ``data/`` (or is it): ``MPI-INF-3DHP_1k.json``, ``…_joint_3d.json``, ``…_camera_1k.json``,
``…_SMPLX_NeuralAnnot.json`` from the page of Hand4Whole's code, and ``images_1k/S{s}/Seq{q}/imageSequence/``. The
files' millimetres become metres. For training. Published training code cannot use this set (its loader gives two of
three results); here it is whole, as Human3.6M is.
"""

from handlib import body_joints
from handlib.datasets import coco, people, studio
from handlib.files import InputError, read_json, require, require_known

EVERY = 3
OFFICIAL = "put the files of the page of Hand4Whole's code there"
_DATA = "MPI-INF-3DHP_1k.json"
_OTHERS = {"joints": "MPI-INF-3DHP_joint_3d.json", "cameras": "MPI-INF-3DHP_camera_1k.json",
           "fits": "MPI-INF-3DHP_SMPLX_NeuralAnnot.json"}  # fmt: skip
_NUMBERS = ("subject_idx", "seq_idx", "frame_idx", "cam_idx")


def splits(root):
    """ "train" alone. InputError where its annotations are not there."""
    people.home(root, _DATA, OFFICIAL)
    return ["train"]


def reader(root, split, every=EVERY):
    """`MpiInf3dhp`."""
    return MpiInf3dhp(root, split, every)


class MpiInf3dhp(people.People):
    """Samples of one person each, in the file's order; without boxes of hands and face. every: only each so-manyth
    frame counts.

    Raises InputError for missing, cut or odd files. Skipped and counted in iterating: boxes that keep nothing of the
    picture, frames without joints.
    """

    def __init__(self, root, split, every=EVERY):
        super().__init__("mpi_inf_3dhp", split)
        require_known([split], ["train"], "MPI-INF-3DHP", "split")
        self.folder = people.home(root, _DATA, OFFICIAL)
        self.options["every"], self.path = every, self.folder / _DATA
        paths = {name: require(self.folder / file, OFFICIAL) for name, file in _OTHERS.items()}
        self.sources |= {path.name: path for path in (self.path, *paths.values())}
        self.pictures, rows = coco.read(
            self.path,
            lambda item, where, place: coco.box(self.path, item, "bbox", where),
            keep=lambda picture: coco.whole(self.path, picture, "frame_idx", "images") % every == 0,
            mend=OFFICIAL,
        )
        self.people = [(number, image, *taken) for number, (image, taken) in rows.items()]
        self.cameras_path, self.cameras = paths["cameras"], read_json(paths["cameras"], OFFICIAL)
        wanted = {self._place(picture)[:3] for picture in self.pictures.values()}
        self.joints = studio.read_joints(paths["joints"], wanted, len(body_joints.MPI_INF_3DHP17), OFFICIAL)
        self.fits = studio.read_fits(paths["fits"], wanted, OFFICIAL)

    def _place(self, picture):
        """Subject, sequence, frame, camera of a picture, as text."""
        return tuple(str(coco.whole(self.path, picture.members, name, picture.name)) for name in _NUMBERS)

    def sample(self, number, image, box, whole):
        picture = self.pictures[image]
        subject, sequence, frame, camera = place = self._place(picture)
        try:
            entry = self.cameras[subject][sequence][camera]
        except (KeyError, TypeError) as error:
            where = f"{subject}/{sequence}/{camera}"
            raise InputError(self.cameras_path, "is not there", OFFICIAL, where) from error
        folder = f"S{subject}/Seq{sequence}"
        key = f"{folder}/{picture.name.rsplit('.', 1)[0]}/{number}"
        path = self.folder / "images_1k" / folder / "imageSequence" / picture.name
        out = people.start(key, path, picture, image, number) | people.boxed(key, box, whole, picture)
        out |= {"subject": int(subject), "camera": camera, "frame": int(frame), "sequence": sequence}
        seen = studio.read_camera(self.cameras_path, entry, f"{subject}/{sequence}/{camera}")
        joints = self.joints.get(place[:3])
        return out | studio.fields(key, body_joints.MPI_INF_3DHP17, joints, seen, self.fits, place[:3])
