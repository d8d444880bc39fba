"""What a pack is called in a folder of packs, and which of them to open."""

from pathlib import Path

from handlib import datasets
from handlib.files import InputError
from handlib.packs import layout
from handlib.packs.reading import open_pack

PREFERRED = ("train", "train+val", "training", "train_part", "val", "test", "evaluation")


def place(folder, dataset, split, **options):
    """Where a split's pack lies in ``folder``: ``interhand_train``, ``oakink_subject_test``, …

    options: the data set's reader's; those that change what is in a split are in the name.
    """
    return Path(folder) / f"{_prefix(dataset, options)}{split}"


def find(folder, dataset="interhand", split="", prefer=PREFERRED, **options):
    """Open the pack at `place`; an empty split is the first of ``prefer`` that is packed.

    Its ``manifest["split"]`` says which it was. Raises InputError, listing what is packed, when it is not there.
    """
    folder, prefix = Path(folder), _prefix(dataset, options)
    names = sorted(path.parent.name for path in folder.glob(f"{dataset}_*/{layout.MANIFEST}"))
    packed = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
    chosen = split or next((name for name in prefer if name in packed), None)
    if chosen not in packed:
        wanted = f"'{prefix}{split}'" if split else f"of '{prefix.rstrip('_')}'"
        there = f"there are {', '.join(names)}" if names else "nothing is packed there"
        how = "handlib run 01" if dataset == "interhand" else f"handlib run 01 --set dataset={dataset}"
        mend = f"run notebook 01 on this data root first ({how})" + (", or name a packed split" if packed else "")
        raise InputError(folder, f"holds no pack {wanted}; {there}", mend, field="split")
    return open_pack(folder / f"{prefix}{chosen}")


def _prefix(dataset, options):
    variant = datasets.variant(dataset, **options)
    return f"{dataset}_{variant}_" if variant else f"{dataset}_"
