"""The one tolerance table: absolute and relative, per dtype, for results that should be equal but for rounding."""

import torch

TOLERANCES = {
    torch.float64: {"atol": 1e-9, "rtol": 1e-9},
    torch.float32: {"atol": 1e-6, "rtol": 1e-5},
    torch.float16: {"atol": 1e-3, "rtol": 1e-3},
    torch.bfloat16: {"atol": 1e-2, "rtol": 1e-2},
}


def assert_close(value, expected, dtype=None):
    """Tensors or arrays equal within the table's line for ``dtype`` (default: the value's own)."""
    value, expected = torch.as_tensor(value), torch.as_tensor(expected)
    limits = TOLERANCES[dtype or value.dtype]
    torch.testing.assert_close(value, expected.to(value.dtype), **limits)
