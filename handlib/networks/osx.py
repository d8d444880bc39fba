"""OSX (Lin et al., CVPR 2023, "One-Stage 3D Whole-Body Mesh Recovery with Component Aware Transformer").

One encoder sees the whole person, with learnt tokens for the body's parameters; hands and face are cut out of its
enlarged features, and decoders ask these around the joints that were found there.
"""

import torch
from torch import nn
from torch.nn import functional as F

from handlib import geometry
from handlib.body_joints import PARTS137
from handlib.files import InputError
from handlib.networks import checkpoints
from handlib.networks.base import KeyTable
from handlib.networks.blocks import deformable, heads, person, regions, volumes
from handlib.networks.blocks.heads import full_precision
from handlib.networks.blocks.norms import BatchNorm, normed
from handlib.networks.blocks.stages import forget
from handlib.networks.blocks.vit import Encoder
from handlib.networks.whole_body import BODY_JOINTS, HAND_JOINTS, PartBoxes, WholeBody, smplx_layer

DECODERS = ("normal", "wo_face_decoder", "wo_decoder")
FACE_JOINTS = 72
HAND_VOLUME, FACE_VOLUME = (16, 16, 16), (8, 8, 8)
UPSCALES = (4, 2, 1)  # of the features that the decoders see
SHAPE, CAM, EXPR, JAW, BODY, TOKENS = 0, 1, 2, 3, slice(6, 31), 31  # tokens; 4 and 5, the hands', are not used

# Parts of the published checkpoints that take no part in anything: an image backbone, flows and branches of Poseur.
_POSEUR = "enc_flow2d enc_flow3d dec_flow2d dec_flow3d fc_coord_branches fc_coord_output_branches fc_sigma_branches"
_UNUSED = ("backbone.", *(f"keypoint_head.{name}." for name in _POSEUR.split())) + tuple(
    f"keypoint_head.transformer.{name}." for name in ("fc_sigma", "fc_coord", "pos_trans", "pos_trans_norm")
)
UNUSED = tuple(f"{part}_decoder.{name}" for part in ("hand", "face") for name in _UNUSED)


class Keys(KeyTable):
    """Released files call some parts by older names."""

    older = {
        "backbone.": "encoder.", "body_rotation_net.": "body_regressor.", "hand_rotation_net.": "hand_regressor.",
    }  # fmt: skip

    def bare(self, name):
        name = super().bare(name)
        for old, new in self.older.items():
            if name.startswith(old):
                return new + name.removeprefix(old)
        return name


def _keys():
    keys = {
        "encoder.": "encoder.",
        "body_joints.conv.": "body_position_net.conv.",
        "body_head.conv.": "body_regressor.body_conv.0.",
    }
    for part in ("root_pose", "body_pose", "shape", "cam"):
        keys[f"body_head.{part}."] = f"body_regressor.{part}_out.0."
    keys |= {"boxes.enlarge.": "box_net.deconv.", "boxes.centre.": "box_net.bbox_center.0."}
    keys |= {f"boxes.{part}.": f"box_net.{part}_size." for part in ("lhand", "rhand", "face")}
    for part in ("hand", "face"):
        keys |= {f"{part}_cuts.enlarge.": f"{part}_roi_net.deconv.", f"{part}_cuts.conv.": f"{part}_roi_net.conv.0."}
        keys |= {f"{part}_joints.conv.": f"{part}_position_net.conv."}
        keys |= {f"{part}_features.": f"{part}_position_net.{part}_conv."}
        keys |= _decoder_keys(f"{part}_decoder.")
    keys |= {"hand_head.conv.": "hand_regressor.hand_conv.", "hand_head.pose.": "hand_regressor.hand_pose_out.0."}
    keys |= {"face_head.pooled.": "face_regressor.conv.0.", "face_head.conv.": "face_regressor.joint_conv.0."}
    return keys | {f"face_head.{part}.": f"face_regressor.{part}_out.0." for part in ("expr", "jaw_pose")}


def _decoder_keys(decoder):
    transformer = f"{decoder}keypoint_head.transformer."
    keys = {f"{decoder}necks.": f"{decoder}neck.convs.", f"{decoder}levels": f"{transformer}level_embeds"}
    keys[f"{decoder}queries"] = f"{transformer}pos_embed.weight"
    names = {"self_attention.": "attentions.0.attn.", "mlp.0.": "ffns.0.layers.0.0.", "mlp.3.": "ffns.0.layers.1."}
    names |= {"norms.": "norms."} | {
        f"attention.{ours}": f"attentions.1.{theirs}"
        for ours, theirs in {
            "offsets.": "sampling_offsets.", "weights.": "attention_weights.", "output.": "output_proj.",
            "value_weight": "value_proj_weight.weight", "value_bias": "value_proj_bias.weight",
        }.items()
    }  # fmt: skip
    for number in range(deformable.LAYERS):
        layer = f"{decoder}layers.{number}."
        keys |= {layer + ours: f"{transformer}decoder.layers.{number}.{theirs}" for ours, theirs in names.items()}
    return keys


class Osx(WholeBody):
    """(B, 3, 512, 384) RGB in 0..1, one person -> dict as `Hand4Whole`'s, its cells those of (16, 16, 12).

    The hands' own volume is (16, 16, 16). With a face decoder there is ``face_joints_img`` (B, 72, 3) too, the face
    points in cells (8, 8, 8) of the face's box.

    decoder: "normal" (of hands and face), "wo_face_decoder" or "wo_decoder"; files tell theirs by their names.
    bodies: folder or file of SMPL-X (None: the free body), or a ready layer. It is no part of the state.
    published: with the published rotations of batches of three (`blocks.sixd.rotvec`).
    ``net.camera_only = True``: projections teach the camera only, as where AGORA is the only training set;
    ``net.smplx_loss_weight``: 2 in the published training on AGORA. With decoders it reaches smplx_shape only, without
    also smplx_pose, smplx_expr, joint_cam and smplx_joint_cam.
    ``net.left_out``: names in the file that was loaded last which belong to no computation (`UNUSED`). Each published
    decoder carries 26 million such numbers; they are not kept.
    """

    input = geometry.PersonInput(volume=(16, 16, 12))
    keys = Keys(_keys())
    hand_volume = HAND_VOLUME
    vit = None  # width, depth, heads, and how often its last block is passed by

    def __init__(self, bodies=None, decoder="normal", published=False):
        super().__init__()
        if decoder not in DECODERS:
            raise InputError(
                f"network '{self.name}'", f"has no decoder {decoder!r}", f"use one of {', '.join(DECODERS)}"
            )
        self.decoder, self.published, self.camera_only, self.smplx_loss_weight = decoder, published, False, 1.0
        self.left_out = ()
        width = self.vit[0]
        self.body_joints, self.body_head = person.JointVolumes(BODY_JOINTS, self.input.volume, width), BodyHead(width)
        self.boxes = PartBoxes(width + BODY_JOINTS * self.input.volume[0])
        if decoder == "wo_decoder":
            self.hand_cuts, self.hand_head = EnlargedCut(width), FeatureHead(width)
            self.hand_joints = person.JointVolumes(HAND_JOINTS, HAND_VOLUME, width)
        else:
            self._add("hand", HAND_JOINTS, HAND_VOLUME, DecodedHandHead())
        if decoder == "normal":
            self._add("face", FACE_JOINTS, FACE_VOLUME, DecodedFaceHead(width))
        else:
            self.face_head = TokenFaceHead(width)
        for name, child in self.named_children():
            if not name.endswith("_decoder"):
                child.apply(heads.initialise)
        width, depth, attention_heads, drop_path = self.vit
        self.encoder = Encoder(person.PERSON, width, depth, attention_heads, TOKENS, drop_path)
        self.layer = smplx_layer(bodies)

    def _add(self, part, joints, volume, head):
        self.add_module(f"{part}_cuts", Cuts(self.vit[0]))
        self.add_module(f"{part}_joints", person.JointVolumes(joints, volume, self.vit[0] // 2))
        conv = nn.Conv2d(self.vit[0] // 2, deformable.WIDTH, 1)
        self.add_module(f"{part}_features", nn.Sequential(conv, BatchNorm(deformable.WIDTH)))
        self.add_module(f"{part}_decoder", deformable.Decoder(joints, [self.vit[0] // up for up in UPSCALES]))
        self.add_module(f"{part}_head", head)

    def forward(self, images, stages=False):
        named = {}
        keep = named.__setitem__ if stages else forget
        small = self.laid_out(self.prepared(images)[:, :, ::2, ::2])
        keep("body_img", small)
        features, tokens = self.encoder(small, keep)
        features = self.laid_out(features)
        keep("img_feat", features)
        keep("task_tokens", tokens)
        probability, joints, _ = self.body_joints(features)
        keep("body_joint_hm", probability)
        keep("body_joint_img", joints)
        found, squares = self._found_boxes(features, probability, keep)
        pose = self._body(tokens, joints, keep)
        hands = self._hands(features, squares, keep)
        face = self._face(features, squares["face"], tokens, keep)
        pose |= face | {name: hands[name] for name in ("lhand_pose", "rhand_pose")}
        out = self._finished(pose, joints, hands, squares, keep)
        keep("joint_proj_agora", out["joints144_proj"])
        return named | found | out

    def _body(self, tokens, joints, keep):
        head = self.body_head(tokens, joints.detach())
        for name in ("root_pose", "body_pose"):
            keep(f"{name}_6d", head[name])
            head[name] = person.rotations(head[name], self.published)
        keep("cam_param", head["cam"])
        return head | {"transl": person.camera(head.pop("cam"))}

    def _hands(self, features, squares, keep):
        """Both hands as right ones; poses and places as they are in the picture."""
        boxes = [self._cells(squares[side]) for side in ("lhand", "rhand")]
        if self.decoder == "wo_decoder":
            crops = self.hand_cuts(features, boxes, HAND_VOLUME)
            keep("hand_feat", crops)
            probability, places, _ = self.hand_joints(crops)
            keep("hand_joint_hm", probability)
            keep("hand_joint_img", places)
            sixd = self.hand_head(crops, places.detach())
        else:
            places, decoded, _ = self._decoded("hand", features, boxes, HAND_VOLUME, keep)
            sixd = self.hand_head(decoded, places.detach())
        sixd = full_precision(sixd)
        keep("hand_pose_6d", sixd)
        return self._both_hands(sixd, places)

    def _face(self, features, square, tokens, keep):
        extra = {}
        if self.decoder == "normal":
            box = [self._cells(square)]
            extra["face_joints_img"], decoded, coarse = self._decoded("face", features, box, FACE_VOLUME, keep)
            expr, jaw = self.face_head(decoded, extra["face_joints_img"].detach(), coarse)
        else:
            expr, jaw = self.face_head(tokens)
        expr, jaw = full_precision(expr), full_precision(jaw)
        keep("jaw_pose_6d", jaw)
        return extra | {"expr": expr, "jaw_pose": person.rotations(jaw, self.published)}

    def _decoded(self, part, features, boxes, volume, keep):
        """Joints of a part -> their places in its volume, what its decoder makes of them, and the coarsest crops."""
        cuts, joints, embedding, decoder = (
            getattr(self, f"{part}_{name}") for name in ("cuts", "joints", "features", "decoder")
        )
        crops = cuts(features, boxes, volume)
        for up, crop in zip(UPSCALES, crops, strict=True):
            keep(f"{part}_feat_x{up}", crop)
        middle = crops[UPSCALES.index(2)]  # of the volume's own size
        probability, places, _ = joints(middle)
        keep(f"{part}_joint_hm", probability)
        keep(f"{part}_joint_img", places)
        fixed = places.detach()[..., :2]
        there = volumes.at_places(F.relu(normed(*embedding, middle)), fixed)
        keep(f"{part}_joint_feat", there)
        reference = fixed / fixed.new_tensor([volume[2], volume[1]])
        decoded = decoder(crops, there, reference, lambda name, value: keep(f"{part}_{name}", value))
        return places, decoded, crops[-1]

    def elements(self, out, targets):
        """What `loss` takes the means of, the SMPL-X terms by ``smplx_loss_weight``; with a face decoder joint_img_face
        too, the face points in cells of the face's box against the targets in cells of the body's volume, as published.
        """
        named = super().elements(out, targets)
        reached = ["smplx_shape"]
        if self.decoder == "wo_decoder":
            reached += ["smplx_pose", "smplx_expr", "joint_cam", "smplx_joint_cam"]
        named |= {name: named[name] * self.smplx_loss_weight for name in reached}
        if self.decoder == "normal":
            given, rows = person.plain(targets, out["verts"].dtype), PARTS137["face"]
            truth, counts = given["joint_img"][:, rows], given["joint_trunc"][:, rows]
            named["joint_img_face"] = person.place_difference(out["face_joints_img"], truth, counts, given["is_3D"])
        return named

    @classmethod
    def options(cls, state):
        """The decoder setting, told by the names."""
        parts = {cls.keys.bare(name).split(".")[0] for name in state}
        return {"decoder": DECODERS[0 if "face_decoder" in parts else 1 if "hand_decoder" in parts else 2]}

    def load_published(self, state, source):
        """As `networks.load_published`; names of `UNUSED` parts are put into ``left_out``. InputError for another
        decoder setting's file.
        """
        decoder = self.options(state)["decoder"]
        if decoder != self.decoder:
            mend = f"create the network with decoder={decoder!r}, or let networks.load decide"
            raise InputError(
                source, f"is of decoder {decoder!r}, the network of {self.decoder!r}", mend, field="decoder"
            )
        left_out = tuple(name for name in state if self.keys.bare(name).startswith(UNUSED))
        used = {name: value for name, value in state.items() if name not in set(left_out)}
        checkpoints.fill(self, used, self.keys.ours, self.keys.published, source)
        self.left_out = left_out

    def load_backbone(self, file):
        """Fill the encoder from a ViTPose file (osx_vit_b.pth, osx_vit_l.pth: ``backbone.*``); its task tokens stay.

        Returns the names not used (of ViTPose's own head).
        """
        state, _ = checkpoints.read(file)
        begin = "backbone."
        given = {name: value for name, value in state.items() if name.startswith(begin)}
        own = {f"{begin}task_tokens": self.encoder.task_tokens.detach()}
        checkpoints.fill(
            self.encoder, own | given, lambda name: name.removeprefix(begin), lambda name: begin + name, file
        )
        return [name for name in state if name not in given]


class OsxB(Osx):
    __doc__ = Osx.__doc__
    name = "osx_b"
    vit = 768, 12, 12, 0.3
    signature = {"encoder.task_tokens": (1, TOKENS, 768), "body_regressor.body_pose_out.0.weight": (126, 12875)}


class OsxL(Osx):
    __doc__ = Osx.__doc__
    name = "osx_l"
    vit = 1024, 24, 16, 0.5
    signature = {"encoder.task_tokens": (1, TOKENS, 1024), "body_regressor.body_pose_out.0.weight": (126, 12875)}


class BodyHead(nn.Module):
    """Tokens (B, 31, C) and the body's joints (B, 25, 3) -> 6D rotations of root and body, shape, camera."""

    def __init__(self, width):
        super().__init__()
        inputs = BODY_JOINTS * (person.WIDTH + 3)
        self.conv = nn.Linear(width, person.WIDTH)
        self.root_pose, self.body_pose = nn.Linear(inputs, 6), nn.Linear(inputs, 126)
        self.shape, self.cam = nn.Linear(width, 10), nn.Linear(width, 3)

    def forward(self, tokens, joints):
        at_joints = torch.cat([self.conv(tokens[:, BODY]), joints], 2).flatten(1)
        found = {"root_pose": self.root_pose(at_joints), "body_pose": self.body_pose(at_joints)}
        found |= {"shape": self.shape(tokens[:, SHAPE]), "cam": self.cam(tokens[:, CAM])}
        return {name: full_precision(value) for name, value in found.items()}


class Cuts(nn.Module):
    """Features (B, C, h, w) and boxes in their cells -> crops at four, two and one times their resolution.

    boxes: [(B, 4)], of two the first mirrored. Crops are (boxes * B, C / up, up / 2 * height, up / 2 * width) of the
    volume (D, height, width).
    """

    def __init__(self, width):
        super().__init__()
        finest = heads.enlarging_to(width, width // 2, width // 4)
        coarsest = nn.Sequential(nn.Conv2d(width, width, 1))
        self.enlarge = nn.ModuleList([coarsest, heads.enlarging_to(width, width // 2), finest])

    def forward(self, features, boxes, volume):
        return [
            cropped(enlarge(features), boxes, up, (volume[1] * up // 2, volume[2] * up // 2))
            for up, enlarge in zip(UPSCALES, reversed(self.enlarge), strict=True)
        ]


class EnlargedCut(nn.Module):
    """The same at four times the resolution only, in the volume's own size and as many channels as came."""

    def __init__(self, width):
        super().__init__()
        self.enlarge, self.conv = heads.enlarging_to(width, width // 2, width // 4), nn.Conv2d(width // 4, width, 1)

    def forward(self, features, boxes, volume):
        return self.conv(cropped(self.enlarge(features), boxes, UPSCALES[0], volume[1:]))


def cropped(features, boxes, up, size):
    """``size`` crops of boxes [(B, 4)] in cells, which are ``up`` times as large in ``features``; see `Cuts`."""
    crops = [regions.roi_align(features, box * up, size) for box in boxes]
    return torch.cat([crops[0].flip(3), *crops[1:]]) if len(crops) == 2 else crops[0]


class FeatureHead(person.JointFeatures):
    """Crops and joints in their cells -> 6D rotations (B, 90)."""

    def __init__(self, width):
        super().__init__(width)
        self.pose = nn.Linear(HAND_JOINTS * (person.WIDTH + 3), 90)

    def forward(self, features, places):
        return self.pose(super().forward(features, places).flatten(1))


class DecodedHandHead(nn.Module):
    """Decoded joints (B, 20, 256) and their places -> 6D rotations (B, 90)."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Linear(deformable.WIDTH, person.WIDTH))
        self.pose = nn.Linear(HAND_JOINTS * (person.WIDTH + 3), 90)

    def forward(self, decoded, places):
        return self.pose(torch.cat([self.conv(decoded), places], 2).flatten(1))


class DecodedFaceHead(nn.Module):
    """Decoded points (B, 72, 256), their places and the coarsest crop -> expression (B, 10), 6D jaw (B, 6)."""

    def __init__(self, width):
        super().__init__()
        self.pooled, self.conv = nn.Linear(width, person.WIDTH), nn.Linear(deformable.WIDTH, person.WIDTH)
        inputs = FACE_JOINTS * (person.WIDTH + 3) + person.WIDTH
        self.expr, self.jaw_pose = nn.Linear(inputs, 10), nn.Linear(inputs, 6)

    def forward(self, decoded, places, crop):
        points = torch.cat([self.conv(decoded), places], 2).flatten(1)
        features = torch.cat([self.pooled(crop.mean((2, 3))), points], 1)
        return self.expr(features), self.jaw_pose(features)


class TokenFaceHead(nn.Module):
    """Tokens (B, 31, C) -> expression (B, 10), 6D jaw (B, 6)."""

    def __init__(self, width):
        super().__init__()
        self.expr, self.jaw_pose = nn.Linear(width, 10), nn.Linear(width, 6)

    def forward(self, tokens):
        return self.expr(tokens[:, EXPR]), self.jaw_pose(tokens[:, JAW])
