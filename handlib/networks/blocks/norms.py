"""Batch norm that can be frozen, and a network whose batch norms are folded away."""

import copy

from torch import nn
from torch.nn.utils import fusion


class BatchNorm(nn.BatchNorm2d):
    """Batch norm that ``freeze`` can hold: stored statistics and no gradient, also after ``net.train()``.

    counted: whether the state has num_batches_tracked, which published frozen batch norms lack.
    """

    def __init__(self, features, counted=True):
        super().__init__(features)
        self.frozen = False
        if not counted:
            self.num_batches_tracked = None

    # torch's own one would add the counter that a state lacks; here the checkpoint reader has named it already.
    _load_from_state_dict = nn.Module._load_from_state_dict

    def freeze(self, frozen=True):
        self.frozen = frozen
        self.requires_grad_(not frozen)
        return self.train(self.training)

    def train(self, mode=True):
        return super().train(mode and not self.frozen)


class UncountedBatchNorm(BatchNorm):
    """A `BatchNorm` without num_batches_tracked."""

    def __init__(self, features):
        super().__init__(features, counted=False)


def folded(net):
    """A copy of ``net`` in eval mode whose batch norms are part of the convolution (or linear layer) before them.

    Only where the batch norm is the child that follows it directly, as everywhere in the networks here.
    """
    net = copy.deepcopy(net).eval()
    for parent in list(net.modules()):
        children = list(parent.named_children())
        for (name, layer), (norm_name, norm) in zip(children, children[1:], strict=False):
            if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) and norm.num_features == _outputs(layer):
                setattr(parent, name, _joined(layer, norm))
                setattr(parent, norm_name, nn.Identity())
    return net


def _outputs(layer):
    return getattr(layer, "out_channels", getattr(layer, "out_features", None))


def _joined(layer, norm):
    if isinstance(layer, nn.Linear):
        return fusion.fuse_linear_bn_eval(layer, norm)
    return fusion.fuse_conv_bn_eval(layer, norm, transpose=isinstance(layer, nn.ConvTranspose2d))
