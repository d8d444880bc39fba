"""What a benchmark's server takes, written from predictions of a pack, and checked."""

import warnings
from pathlib import Path

import numpy as np

from handlib import submissions
from handlib.evaluation import agora
from handlib.evaluation.finding import hidden_pack, protocol_names, truth_known
from handlib.files import InputError
from handlib.submissions.hands import SERVERS

FILES = {"ho3d_v2": "ho3d_v2.zip", "ho3d_v3": "ho3d_v3.zip", "freihand": "freihand.zip", "dexycb": "dexycb.txt",
         "agora_val": "predictions.zip"}  # fmt: skip  # by the last protocol of a pack


def to_submit(folder, pack, **options):
    """The pack whose predictions a server takes: one of the data set of ``pack`` whose truth is hidden; or ``pack``,
    where it is the split that is submitted; None where nothing is.

    folder, options: of packs, as for `handlib.packs.find`.
    """
    if protocol_names(pack)[-1] not in FILES:
        return None
    hidden = hidden_pack(folder, pack.manifest["dataset"], **options)
    return hidden or (pack if pack.manifest["split"] in ("evaluation", "test") else None)


def submission(made, pack, folder):
    """Write what the pack's server wants, and check it -> (path, list of `submissions.Problem`, in words what it is).

    made: predictions of the whole pack. The file is ``<folder>/<server>.<ending>``, of AGORA predictions.zip. Frames
    that packing skipped are filled with zeros, as in the servers' own template, and the words say how many; persons
    that AGORA's skipped are left out. Raises InputError for a data set without such a server, and for predictions of a
    part of the pack.
    """
    server = require_server(pack)
    if len(made) != len(pack):
        problem = f"are of {len(made)} of the {len(pack)} frames of the pack"
        raise InputError("predictions", problem, "predict on all of them (samples=0)")
    path, options = Path(folder) / FILES[server], {}
    if server == "agora_val":
        return path, *agora.submission(made, pack, path)
    arrays, count, words = _rows(server, made, pack)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*the server of .* wants")  # the words say so
        submissions.write(server, arrays, path)
    if server in SERVERS:
        options["samples"] = count
        wanted = SERVERS[server].samples
        words += "" if count == wanted else f"; the server wants {wanted}, so this one is for looking at"
    if not truth_known(pack):
        words += "; the truth is on the server"
    return path, submissions.check(server, path, **options), words


def require_server(pack):
    """The server that takes predictions of a pack; InputError where there is none."""
    server = protocol_names(pack)[-1]
    if server not in FILES:
        raise InputError(pack.folder, f"is of '{server}', which is not submitted from here", "see handlib submit")
    return server


def _rows(server, made, pack):
    """The server's arrays, how many rows they have, and that in words."""
    number = np.asarray(pack.index["image_id"])[made.index]
    if server == "dexycb":
        words = f"{len(made)} images"
        words += "" if pack.manifest["official_ids"] else ", not numbered as the toolkit numbers them: for looking at"
        return {"id": number, "joint_3d": made.predictions["joint_3d"]}, len(made), words
    count = pack.manifest["listed"]
    if pack.manifest["options"].get("source") == "derived":  # whose pictures have numbers of their own
        if count != len(pack):
            mend = "pack without source='derived': then every frame's row is known"
            raise InputError(pack.folder, f"lacks {count - len(pack)} of the file's {count} frames", mend, "skipped")
        number = made.index
    arrays = {}
    for name in ("xyz", "verts"):
        given = made.predictions[name]
        arrays[name] = np.zeros((count, *given.shape[1:]), given.dtype)
        arrays[name][number] = given
    lacking = count - len(made)
    return arrays, count, f"{count} entries" + (f", of which {lacking} were skipped and are zeros" if lacking else "")
