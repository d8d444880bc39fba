"""What Pose2Pose, Hand4Whole and OSX share: heads on features at joints, the virtual camera, SMPL-X and loss terms.

Volumes are cells (depth, height, width) that cover the crop; places in them are x, y, z. The virtual camera has the
published focal length on the (192, 256) pixels that the backbone sees, its principal point in their middle.
"""

import torch
from torch import nn
from torch.nn import functional as F

from handlib.body_joints import PARTS137
from handlib.networks.blocks import sixd, volumes
from handlib.networks.blocks.heads import full_precision
from handlib.networks.blocks.norms import BatchNorm, normed

FOCAL, NEAR = 5000.0, 1e-4  # pixels; metres added to every depth
PERSON, PERSON_SPAN = (192, 256), 2.5  # pixels (w, h) of the virtual camera; metres that a person fills at most
WIDTH = 512


class JointVolumes(nn.Module):
    """(B, inputs, h, w) -> probabilities (B, joints, D, h, w), places (B, joints, 3), logits (B, joints * D, h, w)."""

    def __init__(self, joints, volume, inputs=2048):
        super().__init__()
        self.joints, self.volume = joints, tuple(volume)
        self.conv = nn.Sequential(nn.Conv2d(inputs, joints * volume[0], 1))

    def forward(self, features):
        logits = self.conv(features)
        probability = volumes.volume_softmax(logits.reshape(-1, self.joints, *self.volume))
        return probability, volumes.expected_place(probability), logits


class JointFeatures(nn.Module):
    """Features (B, inputs, h, w) and places (B, J, 3) in their cells -> (B, J, 515): features there, and the places."""

    def __init__(self, inputs=2048):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(inputs, WIDTH, 1), BatchNorm(WIDTH))

    def forward(self, features, places):
        features = F.relu(normed(*self.conv, features))
        return torch.cat([volumes.at_places(features, places[..., :2]), places], 2)


def camera(parameters, span=PERSON_SPAN, size=PERSON):
    """(B, 3) -> translation (B, 3) in metres: x, y as they are, depth from 0 to where ``span`` metres fill the crop."""
    parameters = full_precision(parameters)
    farthest = FOCAL * span / (size[0] * size[1]) ** 0.5
    return torch.cat([parameters[:, :2], parameters[:, 2:].sigmoid() * farthest], 1)


def projected(points, transl, volume, size=PERSON):
    """Points (B, J, 3) and translation (B, 3) in metres -> (B, J, 2) x, y in the volume's cells."""
    points = points + transl[:, None]
    size = points.new_tensor(size)
    pixels = points[..., :2] / (points[..., 2:] + NEAR) * FOCAL + size / 2
    return pixels / size * points.new_tensor([volume[2], volume[1]])


def part_relative(joints):
    """(B, 137, 3) -> the same from the pelvis; hands from their wrists, face points from the neck."""
    body, lhand, rhand, face = (joints[:, PARTS137[part]] for part in ("body", "lhand", "rhand", "face"))
    roots = {part: joints[:, PARTS137[part], None] for part in ("root", "lwrist", "rwrist", "neck")}
    parts = [body - roots["root"], lhand - roots["lwrist"], rhand - roots["rwrist"], face - roots["neck"]]
    return torch.cat(parts, 1)


def smplx_answer(layer, parameters, transl, volume, camera_only=False):
    """SMPL-X of the parameters (by the layer's names) in front of the virtual camera.

    Returns ``joints`` (B, 137, 3) as `part_relative`, ``verts`` (B, 10475, 3) with ``transl``, metres;
    ``joints_proj`` (B, 137, 2) and ``joints144_proj`` (B, 144, 2) in the volume's cells. camera_only: the projections
    send no gradient into the parameters, only into the translation.
    """
    made = layer(**parameters, mean_added=False, joint_set="smplx144")
    all144 = made["joints"]
    proj = projected(all144.detach() if camera_only else all144, transl, volume)
    return {
        "joints": part_relative(all144.index_select(1, layer.from144)),
        "verts": made["verts"] + transl[:, None],
        "joints_proj": proj.index_select(1, layer.from144),
        "joints144_proj": proj,
    }


def mirrored_rotvec(rotvec):
    """(..., 3 n) -> the rotations of the mirror image (x -> -x)."""
    turned = rotvec.unflatten(-1, (-1, 3))
    return (turned * turned.new_tensor([1.0, -1.0, -1.0])).flatten(-2)


def mirrored_places(places, width):
    """(B, J, 3) in cells -> those of the mirror image."""
    return torch.cat([width - 1 - places[..., :1], places[..., 1:]], 2)


def rotations(numbers, published=False):
    """(B, 6 n) -> (B, 3 n) axis-angle; see `sixd.rotvec`."""
    return sixd.rotvec(numbers, published)


# Boxes: (x0, y0, x1, y1) inside networks, (x, y, w, h) outside


def corners_to_xywh(box):
    return torch.cat([box[:, :2], box[:, 2:] - box[:, :2]], 1)


def into_box(places, box, cells, depth=1.0):
    """Places (B, J, 2 or 3) in a volume -> in the volume of ``cells`` (D, H, W) that covers ``box`` (B, 4) of it.

    box: corners in the outer volume's cells; depths are multiplied by ``depth``.
    """
    factor = places.new_tensor([cells[2], cells[1]]) / (box[:, None, 2:] - box[:, None, :2])
    moved = (places[..., :2] - box[:, None, :2]) * factor
    return torch.cat([moved, places[..., 2:] * depth], 2)


def out_of_box(places, box, cells):
    """The inverse of `into_box` for x and y; depths stay."""
    factor = (box[:, None, 2:] - box[:, None, :2]) / places.new_tensor([cells[2], cells[1]])
    return torch.cat([places[..., :2] * factor + box[:, None, :2], places[..., 2:]], 2)


def inside(places, cells):
    """(B, J, 1): whether x and y of places lie in the volume, as a number."""
    x, y = places[..., :1], places[..., 1:2]
    return ((x >= 0) & (x < cells[2]) & (y >= 0) & (y < cells[1])).to(places.dtype)


# Losses, as elements: their terms are means over all of them, those that are not valid being zero


def plain(targets, dtype):
    """Targets by their names without the ``target_`` and ``valid_`` of files, as ``dtype``."""
    names = {name: name.removeprefix("target_").removeprefix("valid_") for name in targets}
    return {names[name]: value.to(dtype) for name, value in targets.items()}


def difference(ours, truth, valid):
    """|ours - truth| where valid (which is given an axis more where it has one less), 0 elsewhere."""
    return (ours - truth).abs() * (valid if valid.ndim == ours.ndim else valid[:, None])


def place_difference(ours, truth, valid, is_3d):
    """The same of places (B, J, 3); depths count in samples (B,) that are 3D only."""
    weights = torch.ones_like(ours)
    weights = torch.cat([weights[..., :2], weights[..., 2:] * is_3d[:, None, None]], 2)
    return difference(ours, truth, valid) * weights


def moved_onto(points, truth, visible):
    """Points (B, J, 2) moved so that their mean over the visible (B, J, 1) ones is the truth's; not where none is."""
    seen = (visible == 1).to(points.dtype)
    return points + ((truth - points) * seen).sum(1, keepdim=True) / seen.sum(1, keepdim=True).clamp(min=1)


def means(elements):
    """{term: elements} -> {term: mean}, and their ``total``."""
    terms = {name: value.mean() for name, value in elements.items()}
    return terms | {"total": sum(terms.values())}
