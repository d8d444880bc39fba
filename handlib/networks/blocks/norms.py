"""Batch norm that can be frozen and that joins the convolution before it; and a copy of a network where all have."""

import copy

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import fusion


class BatchNorm(nn.BatchNorm2d):
    """Batch norm that ``freeze`` can hold: stored statistics and no gradient, also after ``net.train()``.

    counted: whether the state has num_batches_tracked, which published frozen batch norms lack.
    """

    def __init__(self, features, counted=True):
        super().__init__(features)
        self.frozen = False
        self._kept = None
        if not counted:
            self.num_batches_tracked = None

    # torch's own one would add the counter that a state lacks; here the checkpoint reader has named it already.
    _load_from_state_dict = nn.Module._load_from_state_dict

    def freeze(self, frozen=True):
        self.frozen = frozen
        self.requires_grad_(not frozen)
        return self.train(self.training)

    def train(self, mode=True):
        self._kept = None
        return super().train(mode and not self.frozen)

    def after(self, convolution, x):
        """``self(convolution(x))``; where nothing is learnt, by one convolution, equal but for rounding.

        Its weights are kept until one of the tensors that they come from changes, or ``train`` or ``eval`` is called
        (do so after writing to a parameter's ``data``, which torch does not count as a change).
        """
        if self.training or torch.is_grad_enabled() or torch.compiler.is_compiling():
            return self(convolution(x))
        parts = convolution.weight, self.weight, self.bias, self.running_mean, self.running_var
        parts += () if convolution.bias is None else (convolution.bias,)
        if any(part.is_inference() for part in parts):
            return self(convolution(x))
        state = [(part.data_ptr(), part._version) for part in parts]
        if (
            self._kept is None
            or self._kept[0] != state
            or any(a is not b for a, b in zip(parts, self._kept[1], strict=True))
        ):
            joined = fusion.fuse_conv_bn_weights(parts[0], convolution.bias, *parts[3:5], self.eps, *parts[1:3])
            self._kept = state, parts, *joined
        weight, bias = self._kept[2:]
        return F.conv2d(x, weight, bias, convolution.stride, convolution.padding)


class UncountedBatchNorm(BatchNorm):
    """A `BatchNorm` without num_batches_tracked."""

    def __init__(self, features):
        super().__init__(features, counted=False)


def normed(convolution, norm, x):
    """A convolution and its norm, of whatever kind."""
    return norm.after(convolution, x) if isinstance(norm, BatchNorm) else norm(convolution(x))


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
