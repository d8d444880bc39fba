"""Loss terms that the two-hand networks share."""

from torch.nn import functional as F


def root_depth(out, targets):
    """Mean over the batch of |rel_root_depth - truth| where root_valid; all (B, 1), in units of the 64-box."""
    return ((out["rel_root_depth"] - targets["rel_root_depth"]).abs() * targets["root_valid"]).mean()


def hand_type(out, targets):
    """Binary cross-entropy of hand_type_logits (B, 2), mean over hands and batch; 0 where not hand_type_valid (B,)."""
    logits = out["hand_type_logits"]
    entropy = F.binary_cross_entropy_with_logits(logits, targets["hand_type"].to(logits.dtype), reduction="none")
    return (entropy.mean(1) * targets["hand_type_valid"]).mean()
