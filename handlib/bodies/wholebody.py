"""What whole-body code reads beside the body models: which SMPL-X vertices are hands and face, and joint regressors.

Vertex numbers and regressors only; skinning layers are elsewhere. All files are official ones, under their own names,
in a body folder as people have it (``bodies/smplx/…``) or beside it (``data/Human36M/…``); "free" instead of a folder:
those of the free body, which has no SMPL.
"""

from pathlib import Path

import numpy as np

from handlib import npz
from handlib.bodies import free_body
from handlib.bodies.files import KINDS, _checked
from handlib.files import InputError
from handlib.safe_pickle import read_pickle

SITES = {kind: site for kind, site in KINDS.values()}
J14_SITE = "https://github.com/vchoutas/expose#preparing-the-data"
H36M_SITE = "https://github.com/mks0601/Hand4Whole_RELEASE (its parsed Human3.6M data)"
SIZES = {kind: size for size, (kind, _) in KINDS.items()}  # kind -> (vertices, joints)
FREE = "free"

# Rows of the SMPL-X joint regressor, and one vertex at each finger tip, in the order wrist, thumb, index, middle, ring,
# little, each from base to tip (Hand4Whole, Moon et al., CVPRW 2022).
_HAND_ROWS = {
    "left": (20, 37, 38, 39, None, 25, 26, 27, None, 28, 29, 30, None, 34, 35, 36, None, 31, 32, 33, None),
    "right": (21, 52, 53, 54, None, 40, 41, 42, None, 43, 44, 45, None, 49, 50, 51, None, 46, 47, 48, None),
}
TIPS = {"left": (5361, 4933, 5058, 5169, 5286), "right": (8079, 7669, 7794, 7905, 8022)}


def index_files(folder, j14=True):
    """The vertex numbers of SMPL-X's hands and face, and the regressor of the 14 benchmark joints.

    ``folder``: holds MANO_SMPLX_vertex_ids.pkl, SMPL-X__FLAME_vertex_ids.npy and, where ``j14`` asks for it,
    SMPLX_to_J14.pkl, itself or in its smplx/. Returns {"left_hand" (778,) int64 and "right_hand" (778,), in MANO's
    vertex order; "face" (5023,) int64, in FLAME's; "j14" (14, 10475) float64}. Raises InputError that names the file,
    where it goes and where it is from.
    """
    if str(folder) == FREE:
        return {name: array for name, array in free_body.index_files().items() if name != "h36m"}
    hands_file = _find(folder, "smplx", ["MANO_SMPLX_vertex_ids.pkl"], SITES["smplx"])
    face_file = _find(folder, "smplx", ["SMPL-X__FLAME_vertex_ids.npy"], SITES["smplx"])
    hands = read_pickle(hands_file)
    if not isinstance(hands, dict):
        raise InputError(hands_file, "holds no named arrays", f"get the file from {SITES['smplx']}")
    found = {side: _vertex_ids(hands, side, 778, hands_file) for side in ("left_hand", "right_hand")}
    face = {"vertex ids": npz.read_array(face_file, _again(SITES["smplx"]))}
    found["face"] = _vertex_ids(face, "vertex ids", 5023, face_file)
    if j14:
        path = _find(folder, "smplx", ["SMPLX_to_J14.pkl"], J14_SITE)
        found["j14"] = _checked({"J14": read_pickle(path)}, "J14", (14, 10475), str(path))
    return found


def joint_regressor(folder, kind="smplx"):
    """Rows that make joints of a posed mesh: (55, 10475) of SMPL-X or (24, 6890) of SMPL, neutral, float64.

    Read from SMPLX_NEUTRAL.npz / .pkl or SMPL_NEUTRAL.pkl / .npz in ``folder`` or its smplx/ or smpl/; of an .npz only
    this array is read. Raises InputError as `index_files`.
    """
    if _free(folder, kind):
        return free_body.arrays()["J_regressor"].astype(np.float64)
    endings = (".npz", ".pkl") if kind == "smplx" else (".pkl", ".npz")
    names = [f"{kind.upper()}_NEUTRAL{ending}" for ending in endings]
    path = _find(folder, kind, names, SITES[kind])
    only = ("J_regressor",)  # the rest of the file is large
    arrays = npz.read(path, _again(SITES[kind]), only) if path.suffix == ".npz" else read_pickle(path)
    if not isinstance(arrays, dict):
        raise InputError(path, "is not a body model: it holds no named arrays", f"get the file from {SITES[kind]}")
    return _checked(arrays, "J_regressor", SIZES[kind][::-1], str(path))


def hand_regressors(regressor):
    """The 21 joints of each hand as the whole-body projects score them, from SMPL-X's `joint_regressor`.

    Returns {"left" (21, 10475), "right"}: wrist and knuckles by the model's own rows, tips as single vertices (`TIPS`);
    order wrist, thumb, index, middle, ring, little, each from base to tip.
    """
    made = {}
    for side, rows in _HAND_ROWS.items():
        made[side] = np.zeros((21, regressor.shape[1]))
        tips = iter(TIPS[side])
        for joint, row in enumerate(rows):
            if row is None:
                made[side][joint, next(tips)] = 1.0
            else:
                made[side][joint] = regressor[row]
    return made


def h36m_regressor(folder, kind="smplx"):
    """The 17 joints of Human3.6M from a mesh: (17, 10475) for "smplx" or (17, 6890) for "smpl", float64.

    Read from J_regressor_h36m_smplx.npy or J_regressor_h36m_smpl.npy in ``folder``, its smplx/ or smpl/, or in
    Human36M/ beside it (the published place, data/Human36M). Raises InputError as `index_files`.
    """
    if _free(folder, kind):
        return free_body.index_files()["h36m"]
    path = _find(folder, kind, [f"J_regressor_h36m_{kind}.npy"], H36M_SITE, beside="Human36M")
    return _checked(
        {"regressor": npz.read_array(path, _again(H36M_SITE))}, "regressor", (17, SIZES[kind][0]), str(path)
    )


def _free(folder, kind):
    """Whether the free body is asked for; InputError for what it has not."""
    if str(folder) == FREE and kind != "smplx":
        raise InputError("bodies", f"there is no free '{kind}'", f"give the folder of {kind.upper()}'s files")
    return str(folder) == FREE


def _find(folder, kind, names, site, beside=None):
    """The first of ``names`` in the layouts that people have; InputError says what is missing and where it goes."""
    folder = Path(folder)
    places = [folder / place for place in ("", kind, f"models/{kind}", f"bodies/{kind}")]
    places += [folder / beside, folder.parent / beside] if beside else []
    for path in (place / name for place in places for name in names):
        if path.is_file():
            return path
    home = folder.parent / beside if beside else folder / kind
    raise InputError(folder, f"holds no {' or '.join(names)}", f"get the file from {site} and put it into {home}")


def _vertex_ids(arrays, name, count, source):
    """(count,) numbers of SMPL-X vertices, checked."""
    ids = _checked(arrays, name, (count,), str(source)).astype(np.int64)
    if not 0 <= ids.min() <= ids.max() < SIZES["smplx"][0]:
        mend = f"get the file from {SITES['smplx']}"
        raise InputError(source, f"names vertices outside 0..{SIZES['smplx'][0] - 1}", mend, name)
    return ids


def _again(site):
    return f"get the file again from {site}"
