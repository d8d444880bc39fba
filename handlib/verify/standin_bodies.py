"""Files of the whole-body projects made of stand-ins: the arrays that `standin` draws, under their official names."""

import functools
import pickle
from pathlib import Path

import numpy as np

from handlib.verify import standin


@functools.cache
def template(kind):
    """``v_template`` (V, 3) in metres and ``J_regressor`` (J, V) of the neutral stand-in; kind "smplx" or "smpl"."""
    model = getattr(standin, kind)("neutral")
    return {name: model[name] for name in ("v_template", "J_regressor")}


def h36m_regressor(kind):
    """(17, V): stand-in of J_regressor_h36m_smplx.npy or J_regressor_h36m_smpl.npy; every joint of 12 vertices."""
    draw, vertices = standin.rng(f"h36m-regressor:{kind}"), {"smplx": 10475, "smpl": 6890}[kind]
    regressor = np.zeros((17, vertices))
    for row in regressor:
        picked = draw.permutation(vertices)[:12]
        weights = draw.uniform(0.1, 1, 12)
        row[picked] = weights / weights.sum()
    return regressor


def write_index_files(folder):
    """Write what `handlib.bodies.wholebody` reads into an empty folder, as people have it: smplx/ and smpl/.

    The two model files hold ``v_template`` and ``J_regressor`` only. Returns the folder.
    """
    folder, extras = Path(folder), standin.smplx_extras()
    for kind in ("smplx", "smpl"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        np.savez(folder / kind / f"{kind.upper()}_NEUTRAL.npz", **template(kind))
        np.save(folder / kind / f"J_regressor_h36m_{kind}.npy", h36m_regressor(kind))
    for name in ("MANO_SMPLX_vertex_ids", "SMPLX_to_J14"):
        (folder / "smplx" / f"{name}.pkl").write_bytes(pickle.dumps(extras[name], protocol=2))
    np.save(folder / "smplx" / "SMPL-X__FLAME_vertex_ids.npy", extras["SMPL-X__FLAME_vertex_ids"])
    return folder
