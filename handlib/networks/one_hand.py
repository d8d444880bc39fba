"""What the one-hand networks of OakInk's benchmark share: input, ResNet-50 with frozen batch norms, uvd to metres."""

from handlib import geometry
from handlib.files import require_known
from handlib.networks import checkpoints
from handlib.networks.base import Network
from handlib.networks.blocks.norms import BatchNorm, UncountedBatchNorm
from handlib.networks.blocks.resnet import ResNet

FREEZE = {"none": (), "first": (UncountedBatchNorm,), "all": (BatchNorm,)}


class OneHand(Network):
    """A network that answers in uvd (`geometry.xyz_to_uvd`) of one hand's crop; every hand is taken as a right one.

    Its ``input`` is a `geometry.HandInput`. Images are RGB in 0..1; the published input, 0.5 less, is made inside.
    """

    def centred(self, images):
        return self.prepared(images) - 0.5

    def place(self, out, K, root_depth):
        """The answer in the camera's frame: {"joints_cam": (B, 21, 3)} metres, joints in HAND21 order.

        out: what ``net(images)`` gave; K (B, 3, 3) of the crop; root_depth (B, 1) metres of joint ``net.input.root``.
        """
        return {"joints_cam": geometry.uvd_to_xyz(out["joints_uvd"], K, root_depth, self.input)}


class FrozenBackbone(OneHand):
    """A `OneHand` on a ResNet-50 (``backbone``) with frozen batch norms.

    ``freeze``: which batch norms of the backbone keep their stored statistics and have no gradient, in training too:
    "first", those of the stem and of each layer's first block (what the published trainings froze, though their
    configuration meant all of them; the only ones without num_batches_tracked in the published state); "all"; "none".
    Default "first" when ``published``, otherwise "all". Frozen statistics are of use only with the weights that they
    belong to: take "none" to train without an ImageNet file.
    """

    def __init__(self, published=False, freeze=None):
        super().__init__()
        self.published = published
        self.backbone = ResNet(norms=(UncountedBatchNorm, BatchNorm))
        self.freeze(freeze or ("first" if published else "all"))

    def freeze(self, which):
        """Freeze "all" batch norms of the backbone, the "first" ones as published, or "none"."""
        require_known([which], list(FREEZE), "freeze")
        for module in self.backbone.modules():
            if isinstance(module, BatchNorm):
                module.freeze(isinstance(module, FREEZE[which]))
        return self

    def load_backbone(self, file):
        """Fill the ResNet-50 from torchvision's ImageNet file; returns the names not used.

        Not used are the classifier's, and counters of batch norms that this backbone does not count.
        """
        return checkpoints.load_backbone(self.backbone, file)
