"""Where an evaluation's things are: the checkpoint, the packs beside a pack, and what a hand model may be used for."""

from pathlib import Path

from handlib import networks, packs, runs
from handlib.files import InputError, require
from handlib.training.mano import same_body  # noqa: F401 (found here by those who evaluate)
from handlib.training.people import has_fits

# The first that is packed, and of which the truth is known, is measured.
SPLITS = ("test", "evaluation", "val", "validation", "train", "train_part", "train+val", "training")
TRAINED_BY = {
    "interhand": "05_train_interacting",
    "oakink": "03_train_hands",
    "ho3d": "04_train_handoccnet",
    "dexycb": "04_train_handoccnet",
    "freihand": "04_train_handoccnet",
}
# Data sets of whole bodies -> the protocol that measures on them; those without one of their own, against their fits.
PEOPLE = {"agora": "agora_val", "ubody": "ubody"} | dict.fromkeys(
    ("ehf", "mscoco", "human36m", "mpii", "mpi_inf_3dhp"), "ehf"
)
TRAINED_BY |= dict.fromkeys((*PEOPLE, "pw3d"), "06_train_wholebody")
SUBMIT = "handlib eval CHECKPOINT PACK --submission FOLDER"
_TRAINING = ("train", "train+val", "training", "train_part")
IKNET = "iknet"  # folder of a run that trained one


def checkpoint(data, dataset, given=""):
    """``given``, or the last weights of the notebook that trains on this data set. InputError where there are none.

    A notebook that trains on several data sets may have run on this one (its run folder is then named so), or else on
    its usual one.
    """
    name, outputs = TRAINED_BY[dataset], runs.data_outputs(data)
    usual = outputs / name / "checkpoints" / "last"
    own = sorted(outputs.glob(f"{name}*_{dataset}/checkpoints/last"))  # named by its recipe
    return require(
        given or next(iter(own), usual),
        f"run notebook {name[:2]} on this data root first (handlib run {name[:2]}), or give a checkpoint",
    )


def iknet(data, given=""):
    """The IKNet in ``given``, or the one that notebook 03 trained on this data root; None where there is none."""
    path = Path(given or runs.data_outputs(data) / TRAINED_BY["oakink"] / IKNET)
    return networks.load(path, "iknet") if given or path.exists() else None


def training_pack(pack):
    """The training split's pack beside a pack of the same data set; None where there is none, or it is this one."""
    own = pack.manifest["split"]
    beside = pack.folder.name.removesuffix(own)
    others = reversed(_TRAINING) if own == "val" else _TRAINING  # HO-3D's val is a part of its train
    there = [folder for folder in map(pack.folder.with_name, (beside + split for split in others)) if _packed(folder)]
    return packs.open(there[0]) if there and own not in _TRAINING else None


def _packed(folder):
    return (folder / "manifest.json").exists()


def truth_known(pack):
    """Whether the pack's joints, or of whole bodies the meshes, are known; where the benchmark's server keeps the
    truth, the wrists are at most.
    """
    arrays = pack.manifest["arrays"]
    if "smplx_valid" in arrays:
        return "smplx_verts" in arrays or "smpl_pose" in arrays or has_fits(pack)
    return bool(pack.array("joints_valid")[..., 1:].any())


def known_pack(folder, dataset, split="", **options):
    """As `handlib.packs.find`: the pack to measure on. An empty split is the first of `SPLITS` whose truth is known; so
    is one whose truth the benchmark's server keeps. InputError where no truth is known of all that is packed.
    """
    found = packs.find(folder, dataset, split, SPLITS, **options)
    if truth_known(found):
        return found
    for other in SPLITS:
        place = packs.place(folder, dataset, other, **options)
        if _packed(place) and truth_known(packs.open(place)):
            return packs.open(place)
    return refuse_hidden(found)


def hidden_pack(folder, dataset, **options):
    """The first pack of the data set whose truth the benchmark's server keeps; None where there is none."""
    for split in SPLITS:
        place = packs.place(folder, dataset, split, **options)
        if _packed(place) and not truth_known(packs.open(place)):
            return packs.open(place)
    return None


def refuse_hidden(pack):
    """Raise InputError: nothing can be measured on this pack."""
    mend = f"measure on another split; `{SUBMIT}` writes what the server wants"
    raise InputError(pack.folder, "has no truth: the benchmark's server keeps it", mend, "split")


def protocol_names(pack):
    """The protocols that measure predictions on a pack, the one whose figures are shown first."""
    dataset = pack.manifest["dataset"]
    if pack.manifest["options"].get("part") == "hand":
        problem = f"is of {dataset}'s hands one by one, which no benchmark measures"
        raise InputError(pack.folder, problem, "measure hands on freihand; these are for training", "part")
    if dataset in PEOPLE:
        return (PEOPLE[dataset],)
    if dataset == "ho3d":
        return ("ho3d_v3" if pack.manifest["version"] == "v3" else "ho3d_v2",)
    return ("dexycb_handoccnet", "dexycb") if dataset == "dexycb" else (dataset,)
