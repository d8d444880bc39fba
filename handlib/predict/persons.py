"""From a box in a picture to what a whole-body network says of the person in it, and on to the picture's own camera.

The network sees a person through a virtual camera about the crop (`handlib.networks.blocks.person`): 5000 pixels of
focal length on 192 x 256, so hardly any perspective. Its mesh is kept as it is, and put where the picture's own camera
sees the body's points nearest to where the virtual one does.
"""

import dataclasses

import numpy as np
import torch

from handlib import geometry
from handlib.bodies import posing
from handlib.crops import mano
from handlib.crops.person import PersonAugmentation, View
from handlib.files import InputError
from handlib.fitting.translation import translation
from handlib.networks.blocks import person as virtual
from handlib.predict.prediction import PART_BOXES, PersonPrediction

_BODY = 25  # of the joints seen in the picture, those of the body


class Persons:
    """Networks of one person that end in SMPL-X or SMPL (`geometry.PersonInput` with part "body": Hand4Whole, OSX,
    body-only Pose2Pose). Attributes as those of `answers.Hands`.
    """

    kind = PersonPrediction

    def __init__(self, net, bodies_folder, box_scale):
        refuse_bodies(net, bodies_folder)
        self.net, self.layer, self.box_scale = net, net.layer, box_scale
        self.layers, self.model = {"person": self.layer}, posing.kind(self.layer)
        self.constants = {"mesh_faces": self.layer.faces.cpu().numpy(), "model": self.model}
        space, seen, skeleton = (len(one) for one in posing.JOINT_SETS[self.model])
        self.lengths = {"V": len(self.layer.weights), "J": space, "I": seen, "S": skeleton, "P": 3 * skeleton}
        self.lengths["E"] = self.layer.expression_size
        self.seen = posing.seen_rows(self.model)

    def crop(self, image, box, side, K):
        """float32 (3, h, w), and the map (2, 3) float64 from its pixels to the picture's."""
        return crop(image, box, self.net.input, False, self.box_scale)

    def read(self, out, inverse, left, K):
        """The network's output -> dict of joints, verts, skeleton, where the model puts them; parameters; joints_img
        and the boxes of hands and face in the picture; virtual_px: where the virtual camera sees the body's points.
        """
        spec, rest = self.net.input, out["root_pose"]
        poses = {part: out.get(part, rest.new_zeros(len(rest), 3 * n)) for part, n in self.layer.parts.items()}
        given = {"shape": out["shape"]} | ({"expression": out["expr"]} if "expr" in out else {})
        whole = "smplx144" if self.model == "smplx" else "smpl45"
        made = self.layer(**poses, **given, mean_added=False, joint_set=whole)
        joints = posing.joints(self.layer, made)
        body = joints[:, self.seen[:_BODY]]
        virtual_cells = virtual.projected(body, out["transl"], spec.volume)
        boxes = {
            name: boxes_in_picture(out[name], inverse) if name in out else rest.new_full((len(rest), 4), torch.nan)
            for name in PART_BOXES
        }
        return boxes | {
            "joints": joints, "verts": made["verts"], "skeleton": made["joints"][:, : self.lengths["S"]],
            "pose_from_mean": torch.cat(list(poses.values()), 1), "shape": out["shape"],
            "expression": out.get("expr", rest.new_zeros(len(rest), 0)),
            "joints_img": in_picture(out["joints_img"], spec, inverse),
            "virtual_px": in_picture(virtual_cells, spec, inverse),
        }  # fmt: skip

    def placed(self, made, K):
        """What ``read`` made, put where the virtual camera sees it."""
        joints, pixels = made.pop("joints"), made["joints_img"]
        transl, _ = translation(joints[:, self.seen[:_BODY]], made.pop("virtual_px"), K)
        made |= {"transl": transl, "joints_cam": joints + transl[:, None]}
        for name in ("verts", "skeleton"):
            made[f"{name}_cam"] = made.pop(name) + transl[:, None]
        seen = geometry.project(made["joints_cam"][:, self.seen].to(pixels.dtype), K)
        return made | {"reprojection_px": (seen - pixels).norm(dim=-1).mean(1)}


def refuse_bodies(net, bodies_folder):
    """InputError where a body model is given to a network that has its own."""
    if bodies_folder is not None:
        mend = "leave it out: this network has its model with it"
        raise InputError("Predictor", f"is of no use to {type(net).__name__}", mend, "bodies")


def crop(image, box, spec, flipped=False, scale=None):
    """The crop of a `geometry.PersonInput` by the published rule -> float32 (3, h, w), and the map (2, 3) float64 from
    its pixels to those of the picture as it is.

    image: uint8 (h, w, 3) RGB; box (x, y, w, h) px; flipped: shown mirrored, as left hands are; scale: how much larger
    than the box, in place of the network's. Raises InputError for a box that keeps nothing of the picture.
    """
    height, width = image.shape[:2]
    spec = spec if scale is None else dataclasses.replace(spec, box_scale=float(scale))
    if geometry.person_box(box, width, height, spec) is None:
        problem = f"{np.asarray(box).tolist()} is empty or lies outside the picture of {width} x {height} pixels"
        raise InputError("box", problem, "give x, y, width, height in pixels of the picture", field="boxes")
    sample = {"image": image, "bbox": np.asarray(box, np.float64), "bbox_final": False, "bbox_whole": False}
    sample |= {"width": width, "height": height, "key": "picture"}
    view = View(sample, PersonAugmentation(flip=bool(flipped)), spec, False)
    return mano.shown(sample, view), as_it_is(view.inverse, flipped, width)


def as_it_is(inverse, flipped, width):
    """A map (2, 3) to the pixels of a mirrored picture -> to those of the picture as it is; float64."""
    inverse = inverse.astype(np.float64)
    if flipped:
        inverse[0] = -inverse[0]
        inverse[0, 2] += width - 1
    return inverse


def in_picture(cells, spec, inverse):
    """Places (N, P, 2 or more) in cells of the heat volume -> (N, P, 2) float64 pixels of the picture."""
    unit = [size / count for size, count in zip(spec.size, spec.volume[:0:-1], strict=True)]
    pixels = cells[..., :2].to(inverse.dtype) * inverse.new_tensor(unit)
    return geometry.apply_affine(pixels, inverse)


def boxes_in_picture(boxes, inverse):
    """Boxes (N, 4) x, y, w, h of a crop that is not turned, in its pixels -> in the picture's."""
    corners = torch.stack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1).to(inverse.dtype)
    low, high = geometry.apply_affine(corners, inverse).unbind(1)
    return torch.cat([low, high - low], 1)
