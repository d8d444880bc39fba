"""From a box in a picture to what a network says of the hand or the person in it, for each kind of network.

Networks know right hands; left ones are shown to them mirrored. What comes back is of the hand as it is: pixels of the
picture, mesh and joints of its own side, turned as the camera is; its place in space is found from these two. Persons
are in `handlib.predict.persons`.
"""

import cv2
import numpy as np
import torch

from handlib import bodies, crops, fields, geometry
from handlib.bodies import mano, mirror, skinning
from handlib.crops import single
from handlib.files import InputError
from handlib.fitting.translation import translation
from handlib.predict import persons
from handlib.predict.prediction import HandPrediction

NOISE = 0.005  # metres: what a network's joints are worth beside what is plausible for a hand
NEAR, FAR = 0.05, 100.0  # metres: depths of joints and roots
_LEAST = 0.005  # metres: joints closer together than this are no hand's
_BONES = [list(ends) for ends in zip(*fields.HAND21.bones, strict=True)]  # children, parents


class Hands:
    """What networks of one hand have in common. Each has ``layer``, the right hand's.

    kind: the `Prediction` made; layers: {label: layer}, the left one the right one's mirror image; constants, lengths:
    of a prediction without hands (`Prediction.none`).
    """

    kind = HandPrediction

    def finish(self):
        """To be called when ``layer`` is there."""
        self.layers = {"right": self.layer, "left": mirror.mirrored(self.layer)}
        self.constants = {"right_faces": self.layer.faces.cpu().numpy()}
        self.lengths = {"V": len(self.layer.weights)}

    def placed(self, made, K):
        """What ``read`` made, put where joints in space and in the picture agree."""
        transl, error = translation(made["joints"], made["joints_img"], K)
        made |= {"transl": transl, "reprojection_px": error}
        for name, points in (("joints_cam", "joints"), ("verts_cam", "verts")):
            made[name] = made.pop(points) + transl[:, None]
        return made


class Mano(Hands):
    """Networks that answer with MANO's parameters (`geometry.ManoInput`: HandOccNet)."""

    def __init__(self, net, bodies_folder, box_scale):
        persons.refuse_bodies(net, bodies_folder)
        self.net, self.layer, self.box_scale = net, net.layer, box_scale
        self.finish()

    def crop(self, image, box, side, K):
        """float32 (3, h, w), and the map (2, 3) float64 from its pixels to the picture's, as it is."""
        crop, _, inverse = crops.box_crop(image, box, side, self.net.input, self.box_scale)
        return crop, persons.as_it_is(inverse, side, image.shape[1])

    def read(self, out, inverse, left, K):
        """The network's output -> dict of joints, verts, pose_from_mean, shape, joints_img (see the module)."""
        pixels = out["joints_img"].double() * inverse.new_tensor(self.net.input.size)
        signs = _signs(left, out["joints"])
        pose = torch.where(left[:, None], mirror.mirrored_pose(out["pose_from_mean"]), out["pose_from_mean"])
        return {
            "joints": out["joints"] * signs, "verts": out["verts"] * signs, "shape": out["shape"],
            "pose_from_mean": pose, "joints_img": geometry.apply_affine(pixels, inverse),
        }  # fmt: skip


class Pose2Pose(Hands):
    """Pose2Pose's hand network (`geometry.PersonInput` with part "hand"), which answers with MANO's parameters too.

    Its place in space is found as any hand's, from the joints that it sees in the picture; its own virtual camera,
    which it sets by the same joints, is not asked.
    """

    def __init__(self, net, bodies_folder, box_scale):
        persons.refuse_bodies(net, bodies_folder)
        self.net, self.layer, self.box_scale = net, net.layer, box_scale
        self.finish()

    def crop(self, image, box, side, K):
        """See `Mano.crop`."""
        return persons.crop(image, box, self.net.input, side, self.box_scale)

    def read(self, out, inverse, left, K):
        """See `Mano.read`."""
        verts = out["verts"] - out["transl"][:, None]
        joints = mano.joints21(verts, skinning.regressed(self.layer.joint_regressor, verts), "pose2pose")
        signs, pose = _signs(left, verts), torch.cat([out["root_pose"], out["rhand_pose"]], 1)
        return {
            "joints": joints * signs, "verts": verts * signs, "shape": out["shape"],
            "pose_from_mean": torch.where(left[:, None], mirror.mirrored_pose(pose), pose),
            "joints_img": persons.in_picture(out["joints_img"], self.net.input, inverse),
        }  # fmt: skip


class Uvd(Hands):
    """One-hand networks that answer with pixels and depths relative to a root (`geometry.HandInput`: IntegralPose, RLE,
    I2L-MeshNet).

    The root's depth, which they do not say, is that at which the 20 bones have the root mean square length of the
    hand model's mean hand; the hand model is fitted (`handlib.fitting.fit`) to the joints that this makes, and its mesh
    is the answer, also of networks with a mesh of their own, so that mesh and parameters agree. Size and distance are
    therefore those of an average hand. Where joints are no hand's (all in one point) the mean hand is answered, and
    ``Prediction.doubtful`` says so.
    """

    def __init__(self, net, bodies_folder, box_scale):
        if box_scale is not None:
            raise InputError("Predictor", "belongs to networks with MANO's parameters", "leave it out", "box_scale")
        self.net, self.box_scale = net, None
        self.layer = bodies.load(bodies_folder, "mano_right").to(next(net.parameters()).device)
        with torch.no_grad():
            rest = self.layer(pose=np.zeros(48), mean_added=False)
        joints = bodies.joints21(rest["verts"], rest["joints"]).double()
        self.squares = (joints[_BONES[0]] - joints[_BONES[1]]).square().sum()
        self.rest = joints - joints[:1]
        self.finish()

    def crop(self, image, box, side, K):
        """See `Mano.crop`."""
        sample = {
            "image": image, "bbox": np.float32(box), "side": np.array([side]), "width": image.shape[1], "K": K,
            "height": image.shape[0], "joints_cam": np.zeros((1, 21, 3)), "key": "picture",
        }  # fmt: skip
        view = single.View(sample, None, self.net.input, False)
        inverse = cv2.invertAffineTransform(view.affine[:2].astype(np.float64))
        return single.picture(sample, None, self.net.input, view), inverse

    def read(self, out, inverse, left, K):
        """See `Mano.read`."""
        from handlib import fitting

        spec = self.net.input
        uvd = out.get("joints_from_mesh_uvd", out.get("joints_uvd")).double()
        pixels = geometry.apply_affine(uvd[..., :2] * uvd.new_tensor(spec.size), inverse)
        joints = self.lifted(pixels, (uvd[..., 2] - 0.5) * spec.depth_span, K)
        none = ((joints - joints[:, :1]).norm(dim=2).amax(1) < _LEAST) | (
            (joints[:, 9] - joints[:, 0]).norm(dim=1) < 1e-4
        )
        joints = torch.where(none[:, None, None], self.rest * _signs(left, joints) + joints[:, :1], joints)
        found = fitting.fit(joints, self.layer, side=left.long().cpu(), noise=NOISE)
        signs = _signs(left, found.verts)
        transl = found.transl[:, None] * signs
        pose = torch.cat([found.pose[:, :3], found.pose[:, 3:] - self.layer.hands_mean], 1)
        pose = torch.where(left[:, None], mirror.mirrored_pose(pose), pose)
        return {
            "joints": found.joints - transl, "verts": found.verts - transl, "shape": found.shape,
            "pose_from_mean": pose, "joints_img": pixels,
        }  # fmt: skip

    def lifted(self, pixels, behind, K):
        """Joints (N, 21, 3) metres from their pixels and their depths (N, 21) behind the root."""
        rays = torch.cat([(pixels - K[:, None, :2, 2]) / K.diagonal(dim1=1, dim2=2)[:, None, :2], behind[..., None]], 2)
        rays[..., 2] = 1.0
        # bones are depth * a + b: their squared lengths sum to that of the mean hand
        moved = rays * behind[..., None]
        a, b = (points[:, _BONES[0]] - points[:, _BONES[1]] for points in (rays, moved))
        aa, ab, bb = ((p * q).sum((1, 2)) for p, q in ((a, a), (a, b), (b, b)))
        root = (-ab + (ab.square() - aa * (bb - self.squares)).clamp(min=0).sqrt()) / aa.clamp(min=1e-12)
        root = root.clamp(max=FAR)
        depth = torch.maximum(root, NEAR - behind.amin(1))[:, None] + behind
        return rays * depth[..., None]


def _signs(left, like):
    """(N, 1, 3): -1, 1, 1 for left hands."""
    x = torch.where(left, -1.0, 1.0).to(like.dtype)
    return torch.stack([x, x.abs(), x.abs()], 1)[:, None]


_KINDS = {geometry.ManoInput: Mano, geometry.HandInput: Uvd}
_PARTS = {"hand": Pose2Pose, "body": persons.Persons}  # of geometry.PersonInput


def reader(net, bodies_folder=None, box_scale=None):
    """What reads a network, as its ``input`` says. InputError for a network that a Predictor cannot use."""
    return _reading(net)(net, bodies_folder, box_scale)


def subject_of(net):
    """Whether a network is asked for hands or for persons: `subjects.HAND` or PERSON. InputError as `reader`."""
    return _reading(net).kind.subject


def _reading(net):
    given = getattr(net, "input", None)
    kind = _PARTS.get(given.part) if isinstance(given, geometry.PersonInput) else _KINDS.get(type(given))
    if kind is None:
        name = getattr(net, "name", type(net).__name__)
        mend = "give a network of one hand (handoccnet, pose2pose_hand, integral_pose, rle or i2l_meshnet) or of one "
        mend += "person (hand4whole, osx_l, osx_b or pose2pose_body)"
        raise InputError("Predictor", f"'{name}' does not make the mesh of a hand or a person from a box", mend, "net")
    return kind
