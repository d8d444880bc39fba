"""Seeded stand-ins for files that cannot be shipped: licensed body models and published weights.

The arrays are numerically well behaved and have the exact names, shapes and dtypes of the real files, and
nothing else: they look like nothing. The reference outputs beside this file were computed by each method's
own published implementation with these stand-ins in place of the real files, so an implementation that loads
the same stand-ins must give the same outputs.

Every array is drawn from numpy.random.RandomState (whose stream numpy never changes), seeded by its own name.
"""

import zlib

import numpy as np

MANO_PARENTS = [-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14]
SMPLX_PARENTS = [
    -1,
    0,
    0,
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    9,
    9,
    12,
    13,
    14,
    16,
    17,
    18,
    19,
    15,
    15,
    15,
    20,
    25,
    26,
    20,
    28,
    29,
    20,
    31,
    32,
    20,
    34,
    35,
    20,
    37,
    38,
    21,
    40,
    41,
    21,
    43,
    44,
    21,
    46,
    47,
    21,
    49,
    50,
    21,
    52,
    53,
]
SMPL_PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21]


def rng(name):
    return np.random.RandomState(zlib.crc32(name.encode()) & 0xFFFFFFFF)


def tensor(name, shape, dtype="float32"):
    """One stand-in weight, a function of its official state-dict name and shape alone."""
    r = rng(name)
    shape = tuple(shape)
    if "int" in dtype:  # num_batches_tracked and the like
        return np.zeros(shape, dtype)
    if name.endswith("running_var"):
        return r.uniform(0.8, 1.2, shape).astype(dtype)
    if name.endswith("running_mean"):
        return r.uniform(-0.05, 0.05, shape).astype(dtype)
    if len(shape) <= 1:  # a bias, or the gain of a norm layer
        centre = 1.0 if name.endswith("weight") else 0.0
        return (centre + r.uniform(-0.1, 0.1, shape)).astype(dtype)
    fan_in = int(np.prod(shape[1:]))
    return (r.standard_normal(shape) / np.sqrt(fan_in)).astype(dtype)


def weights(keys):
    """keys: [[name, shape, dtype], ...] as in keys.json. Returns {name: array}."""
    return {name: tensor(name, shape, dtype) for name, shape, dtype in keys}


def image(name, shape):
    """A stand-in network input in [0, 1), float32."""
    return rng("image:" + name).random_sample(shape).astype(np.float32)


def _lbs_model(name, n_verts, n_faces, parents, n_shape, box):
    r = rng(name)
    n_joints = len(parents)
    v = (r.uniform(-1, 1, (n_verts, 3)) * box).astype(np.float64)
    faces = np.stack([r.permutation(n_verts)[:3] for _ in range(n_faces)]).astype(np.uint32)
    logits = r.standard_normal((n_verts, n_joints)) * 3
    skin = np.exp(logits - logits.max(1, keepdims=True))
    skin /= skin.sum(1, keepdims=True)
    regress = np.zeros((n_joints, n_verts))
    for j in range(n_joints):
        pick = r.permutation(n_verts)[:12]
        w = r.uniform(0.1, 1.0, 12)
        regress[j, pick] = w / w.sum()
    kintree = np.stack([np.asarray(parents, np.int64), np.arange(n_joints)]).astype(np.uint32)
    return {
        "v_template": v,
        "f": faces,
        "weights": skin,
        "J_regressor": regress,
        "J": regress @ v,
        "kintree_table": kintree,
        "shapedirs": r.standard_normal((n_verts, 3, n_shape)) * 0.002,
        "posedirs": r.standard_normal((n_verts, 3, 9 * (n_joints - 1))) * 0.0005,
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }


def _hand_pca(r):
    q, _ = np.linalg.qr(r.standard_normal((45, 45)))
    return q, r.standard_normal(45) * 0.1


def mano(side="right"):
    """Everything that MANO_RIGHT.pkl / MANO_LEFT.pkl hold, as plain arrays (metres, radians)."""
    m = _lbs_model("mano:" + side, 778, 1538, MANO_PARENTS, 10, np.array([0.09, 0.03, 0.05]))
    r = rng("mano-pca:" + side)
    m["hands_components"], m["hands_mean"] = _hand_pca(r)
    m["hands_coeffs"] = r.standard_normal((1554, 45))
    return m


def smplx(gender="neutral"):
    """Everything that SMPLX_NEUTRAL.npz (10 shape + 10 expression) holds, as plain arrays."""
    m = _lbs_model("smplx:" + gender, 10475, 20908, SMPLX_PARENTS, 20, np.array([0.5, 0.9, 0.2]))
    r = rng("smplx-extra:" + gender)
    for side in "lr":
        m["hands_components" + side], m["hands_mean" + side] = _hand_pca(r)
        m["hands_coeffs" + side] = r.standard_normal((1554, 45))
    bary = r.uniform(0.1, 1, (51, 3))
    m["lmk_faces_idx"] = r.randint(0, 20908, 51).astype(np.int64)
    m["lmk_bary_coords"] = bary / bary.sum(1, keepdims=True)
    bary = r.uniform(0.1, 1, (79, 17, 3))
    m["dynamic_lmk_faces_idx"] = r.randint(0, 20908, (79, 17)).astype(np.int64)
    m["dynamic_lmk_bary_coords"] = bary / bary.sum(2, keepdims=True)
    m["vt"] = r.uniform(0, 1, (11313, 2))
    m["ft"] = r.randint(0, 11313, (20908, 3)).astype(np.uint32)
    return m


def smpl(gender="neutral"):
    """Everything that SMPL_NEUTRAL.pkl holds, as plain arrays."""
    return _lbs_model("smpl:" + gender, 6890, 13776, SMPL_PARENTS, 10, np.array([0.5, 0.9, 0.2]))


def smplx_extras():
    """The index files that whole-body code loads beside SMPL-X."""
    r = rng("smplx-index-files")
    return {
        "MANO_SMPLX_vertex_ids": {
            "left_hand": np.sort(r.permutation(10475)[:778]),
            "right_hand": np.sort(r.permutation(10475)[:778]),
        },  # a .pkl dict
        "SMPL-X__FLAME_vertex_ids": np.sort(r.permutation(10475)[:5023]),  # a .npy
        "SMPLX_to_J14": np.eye(14, 10475)[:, r.permutation(10475)],  # a .pkl array (14, 10475)
    }
