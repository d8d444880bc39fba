"""HandOccNet (Park et al., CVPR 2022, "HandOccNet: Occlusion-Robust 3D Hand Mesh Estimation Network").

One hand's mesh from one crop: a feature pyramid, a gate that parts the hand's features from the occluder's, a
transformer that injects the former where the latter are, one that refines them, and a regressor of MANO's parameters.
"""

import roma
import torch
from torch.nn import functional as F

from handlib import geometry
from handlib.networks import checkpoints
from handlib.networks.base import KeyTable, Network
from handlib.networks.blocks import attention, fpn, heads, mano_head
from handlib.networks.blocks.hand_head import Encoder, HeatmapHead
from handlib.networks.blocks.stages import forget, under

WEIGHTS = {"vertices": 1e4, "joints": 1e4, "pose": 10.0, "shape": 0.1, "joints_img": 100.0}
# Of the newest revision's state: constants of its fitting demo.
FITTING = tuple(f"fitting_loss.{name}" for name in ("data_weight", "init_joints_idxs", "depth_loss_weight"))
HEAD, ENCODER, MANO = (f"regressor.{part}." for part in ("hand_regHead", "hand_Encoder", "mano_regHead"))
OUTPUTS = {
    "out.joints_coord_cam": "joints",
    "out.mesh_coord_cam": "verts",
    "out.mano_pose": "pose_from_mean",
    "out.mano_shape": "shape",
    "out.manojoints2cam": "transforms",
    "out.joints_coord_img": "joints_img",
    "mano_rotmat": "rotations_from_mean",
}


def _keys():
    keys = {"backbone.conv1.": "backbone.layer0.0.", "backbone.bn1.": "backbone.layer0.1."}
    keys |= {f"backbone.layer{n}.": f"backbone.layer{n}.0." for n in (1, 2, 3, 4)}
    keys |= {f"pyramid.laterals.{n}.": f"backbone.latlayer{n + 1}." for n in range(3)}
    keys |= {"pyramid.top.": "backbone.toplayer."} | {f"pyramid.smooth{n}.": f"backbone.smooth{n}." for n in (2, 3)}
    keys["spatial."] = "backbone.attention_module.spatial."
    names = {f"{part}_embedding": f"{part[0]}_embedding" for part in ("query", "key")}
    names |= {f"{part}.": f"encode_{part}." for part in ("value", "query", "key")}
    names |= {f"gate_{part}.": f"encode_{part}2." for part in ("query", "key")}
    names |= {"norm.": "norm2.", "mlp.0.": "mlp.fc1.", "mlp.2.": "mlp.fc2."}
    for stage in ("fit", "set"):
        for n in range(2):
            keys |= {f"{stage}.layers.{n}.{a}": f"{stage.upper()}.layers.{n}.{b}" for a, b in names.items()}
    keys |= {"fit.conv1.": "FIT.conv1.", "fit.conv2.": "FIT.conv2.0."}
    for level in range(4):
        keys |= {f"head.hourglass.levels.{level}.{n}.": f"{HEAD}hg.0.hg.{level}.{n}.0." for n in range(4)}
    keys |= {"head.residual.": f"{HEAD}res.0.0.", "head.score.": f"{HEAD}score.0."}
    keys |= {"head.conv.": f"{HEAD}fc.0.block.0.", "head.bn.": f"{HEAD}fc.0.block.1.", "head.": HEAD}
    keys |= {"encoder.heatmaps.": f"{ENCODER}heatmap_conv.", "encoder.features.": f"{ENCODER}encoding_conv."}
    for n in range(8):
        for part, theirs in {"bn1": "bn", "bn2": "bn1", "bn3": "bn2"}.items():
            keys[f"encoder.blocks.{n}.{part}."] = f"{ENCODER}reg.{n}.{theirs}."
        keys[f"encoder.blocks.{n}."] = f"{ENCODER}reg.{n}."
    keys |= {"mano.base.": f"{MANO}mano_base_layer.", "hand.": f"{MANO}mano_layer.th_"}
    return keys | {f"mano.{part}.": f"{MANO}{part}_reg." for part in ("pose", "shape")}


class HandOccNet(Network):
    """(B, 3, 256, 256) RGB in 0..1, of a right hand (a left one mirrored) -> dict, float32:

    ``joints`` (B, 21, 3) in HAND21 order, tips as in ``mano.TIPS["handoccnet"]``, and ``verts`` (B, 778, 3): metres, in
    MANO's own frame turned as the camera is (x right, y down, z forward), the wrist being where the shape puts it;
    ``joints_img`` (B, 21, 2), 0..1 of the crop, from the heat maps; ``pose_from_mean`` (B, 48) axis-angle,
    ``rotations_from_mean`` (B, 16, 3, 3) the same, ``shape`` (B, 10); ``transforms`` (B, 16, 4, 4) from the frame of
    each of MANO's joints to that of the vertices, metres. ``stages=True`` adds what the reference names, and its names
    for the above.

    bodies: folder or file of the hand model (None: the free hand). Its arrays are part of the state, as published:
    a checkpoint brings the hand that it was trained with, and loading it replaces this one (``net.layer`` is then made
    of the checkpoint's arrays, and has only the first six of the principal components). Whoever shares weights trained
    on MANO shares MANO's arrays with them.

    published: train as published. Samples without a MANO fit then count with whatever their targets hold (see `loss`),
    axis-angle becomes a matrix with the published rounding (`mano_head.published_rotmat`), and a fresh network begins
    at rotations of nothing in particular, not at the mean pose.

    The published state also has a convolution whose result nothing uses (``pyramid.smooth2``): it is kept, without
    gradient.
    """

    name = "handoccnet"
    input = geometry.ManoInput()
    keys = KeyTable(_keys())
    signature = {"FIT.layers.0.q_embedding": (1, 256, 32, 32), f"{HEAD}betas": (21, 1)}
    needs_bodies = True

    def __init__(self, bodies=None, published=False):
        super().__init__()
        self.published = published
        self.backbone, self.pyramid, self.spatial = fpn.resnet50(), fpn.FeaturePyramid(), fpn.SpatialGate()
        self.fit, self.set = attention.Injection(), attention.Stage(gated=False)
        self.head, self.encoder, self.mano = HeatmapHead(), Encoder(), mano_head.ManoHead()
        self.hand = mano_head.HandModel(bodies)
        for part in (self.fit, self.set, self.head, self.encoder, self.mano):
            part.apply(heads.initialise)
        if not published:
            self.mano.start_at_mean()

    @property
    def layer(self):
        """The hand model's layer (`handlib.bodies.mano.ManoLayer`, right)."""
        return self.hand.layer

    def forward(self, images, stages=False):
        named = {}
        keep = named.__setitem__ if stages else forget
        primary, secondary, _ = self.parts(images, keep)
        fitted = self.fit(secondary, primary, under(keep, "FIT."))
        keep("FIT", fitted)
        refined = self.set(fitted, fitted, under(keep, "SET."))
        keep("SET", refined)
        heatmaps, encoding, joints = self.head(refined, under(keep, HEAD))
        features = self.encoder(heatmaps, encoding, under(keep, ENCODER))
        out = {"joints_img": joints} | self.mano(features, self.layer, under(keep, MANO), self.published)
        if stages:
            named |= {"heatmaps": heatmaps, "encoding": encoding}
            named |= {theirs: out[ours] for theirs, ours in OUTPUTS.items()}
        return named | out

    def parts(self, images, keep=forget):
        """Primary and secondary features (B, 256, 32, 32) of images, and the mask (B, 1, 32, 32) that parts them."""
        images = self.prepared(images)
        layers = self.backbone.stem(images)
        keep("backbone.layer0", layers)
        layers = self.backbone.layers(layers)
        for number, layer in enumerate(layers, 1):
            keep(f"backbone.layer{number}", layer)
        features = self.pyramid(layers, keep)
        keep("backbone.pool", features)
        primary, secondary, mask = fpn.parted(features, self.spatial(features, keep))
        keep("primary", primary)
        keep("secondary", secondary)
        return primary, secondary, mask

    @torch.no_grad()
    def attention(self, images):
        """What looks where, for pictures (B, 3, 256, 256); cells are 32 x 32, row by row, 8 pixels wide.

        Returns {"mask" (B, 1, 32, 32), 0..1, the spatial gate; "primary", "secondary" (B, 256, 32, 32); "fit" and "set"
        (B, 4 heads, 1024 queries, 1024 keys), the last block's attention, FIT's with its gate, "gate" (B, 4, 1024)}.
        """
        primary, secondary, mask = self.parts(images)
        asking = self.fit.layers[0](secondary, primary, forget)
        last = self.fit.layers[1]
        found = {"mask": mask, "primary": primary, "secondary": secondary, "fit": last.weights(asking, primary)}
        found["gate"] = last.gate(asking + last.query_embedding, primary + last.key_embedding)
        fitted = self.fit(secondary, primary, forget)
        asking = self.set.layers[0](fitted, fitted, forget)
        return found | {"set": self.set.layers[1].weights(asking, fitted)}

    def loss(self, out, targets):
        """vertices, joints, pose, shape, joints_img, and ``total``, their sum; each with its published weight.

        Mean squares over everything: of vertices and joints in metres, in MANO's frame, where the wrist is free; of the
        16 rotation matrices, from the mean pose; of the shape; of joints_img, 0..1. Targets: ``pose_from_mean`` or
        ``pose_flat`` (B, 48), ``shape`` (B, 10), of which the hand model makes the true mesh, ``mano_valid`` (B,),
        ``joints_img`` (B, 21, 2), crop pixels / 256. Where mano_valid is 0 only joints_img counts, the rest as zero;
        ``published``: everything counts everywhere.
        """
        dtype = out["verts"].dtype
        truth = self.truth(targets)
        known = targets["mano_valid"].to(dtype)
        known = torch.ones_like(known) if self.published else known
        names = {"vertices": "verts", "joints": "joints", "pose": "rotations_from_mean", "shape": "shape"}
        terms = {}
        for term, name in names.items():
            squares = (out[name] - truth[name]).square().flatten(1).mean(1)
            terms[term] = WEIGHTS[term] * (squares * known).mean()
        pixels = (out["joints_img"] - targets["joints_img"].to(dtype)).square().mean()
        terms["joints_img"] = WEIGHTS["joints_img"] * pixels
        return terms | {"total": sum(terms.values())}

    @torch.no_grad()
    def truth(self, targets):
        """What the hand model makes of the targets' pose and shape: verts, joints, shape and rotations_from_mean."""
        layer = self.layer
        dtype = layer.hands_mean.dtype
        if "pose_from_mean" in targets:
            pose = targets["pose_from_mean"].to(dtype)
        else:
            mean = F.pad(layer.hands_mean, (mano_head.ORIENTATION, 0))
            pose = targets["pose_flat"].to(dtype) - mean
        shape = targets["shape"].to(dtype)
        turned = mano_head.published_rotmat if self.published else roma.rotvec_to_rotmat
        rotations = turned(pose.unflatten(1, (16, 3)))
        return {"rotations_from_mean": rotations, "shape": shape} | mano_head.hand(layer, pose, shape, self.published)

    def load_published(self, state, source):
        """Fill from a published state, hand model and all; the three constants of the published demo are dropped."""
        own = {name: value for name, value in state.items() if self.keys.bare(name) not in FITTING}
        super().load_published(own, source)
        self.hand.renew(str(source))

    def load_backbone(self, file):
        """Fill the ResNet-50 from torchvision's ImageNet file; returns the names not used (the classifier's)."""
        return checkpoints.load_backbone(self.backbone, file)
