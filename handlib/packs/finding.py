"""Which pack of a folder of packs to open."""

from pathlib import Path

from handlib.files import InputError
from handlib.packs import layout
from handlib.packs.reading import open_pack


def find(folder, dataset="interhand", split="", prefer=("train", "val", "test")):
    """Open the pack ``<dataset>_<split>`` in ``folder``; an empty split is the first of ``prefer`` that is packed.

    Its ``manifest["split"]`` says which it was. Raises InputError, listing what is packed, when it is not there.
    """
    folder, prefix = Path(folder), f"{dataset}_"
    names = sorted(path.parent.name for path in folder.glob(f"{prefix}*/{layout.MANIFEST}"))
    packed = [name.removeprefix(prefix) for name in names]
    chosen = split or next((name for name in prefer if name in packed), None)
    if chosen not in packed:
        wanted = f"'{prefix}{split}'" if split else f"of '{dataset}'"
        there = f"there are {', '.join(names)}" if names else "nothing is packed there"
        mend = "run notebook 01 on this data root first (handlib run 01)" + (
            ", or name a packed split" if packed else ""
        )
        raise InputError(folder, f"holds no pack {wanted}; {there}", mend, field="split")
    return open_pack(folder / f"{prefix}{chosen}")
