"""The MANO and SMPL-X layers beside the smplx package's, forward and backward, at batch 1 and 64."""

import contextlib
import io
import tempfile

import torch

from handlib import bodies
from handlib.benchmarks import Row, interleaved
from handlib.bodies import free

_BAR = 1.0
_BODY_NAMES = {"root_pose": "global_orient", "lhand_pose": "left_hand_pose", "rhand_pose": "right_hand_pose"}
_BODY_NAMES |= {"shape": "betas"}


def bench_mano():
    """Rows per batch size: vertices and joints from axis-angle poses, without and with gradients of pose and shape."""
    ours = bodies.load(None, "mano_right")
    theirs = _smplx()
    for batch, repeats in ((1, 100), (64, 30)):
        pose, shape = (values.requires_grad_() for values in _parameters(batch))

        def handlib_layer(pose=pose, shape=shape):
            out = ours(pose=pose, shape=shape, mean_added=True)
            return out["verts"], out["joints"]

        def smplx_layer(pose=pose, shape=shape):
            out = theirs(global_orient=pose[:, :3], hand_pose=pose[:, 3:], betas=shape)
            return out.vertices, out.joints

        layers = handlib_layer, smplx_layer
        for name, variant in (("forward", _forward), ("forward + backward", _backward)):
            seconds = interleaved([variant(layer, (pose, shape)) for layer in layers], repeats, warm_up=5)
            yield Row(f"MANO {name}, batch {batch}", seconds[0], "smplx", seconds[1], bar=_BAR)


def bench_smplx():
    """The same of SMPL-X with its 144 joints, the contour of the face included; all poses, shape and expression."""
    ours = bodies.load(None, "smplx_neutral")
    for batch, repeats in ((1, 20), (64, 4)):
        theirs, given = _smplx_body(batch), _body_parameters(batch)
        named = {_BODY_NAMES.get(name, name): value for name, value in given.items()}

        def handlib_layer(given=given):
            out = ours(**given, mean_added=False, joint_set="smplx144")
            return out["verts"], out["joints"]

        def smplx_layer(theirs=theirs, named=named):
            out = theirs(**named)
            return out.vertices, out.joints

        for name, variant in (("forward", _forward), ("forward + backward", _backward)):
            runs = [variant(layer, tuple(given.values())) for layer in (handlib_layer, smplx_layer)]
            seconds = interleaved(runs, repeats, warm_up=2)
            yield Row(f"SMPL-X {name}, batch {batch}", seconds[0], "smplx", seconds[1], bar=_BAR)


def _smplx_body(batch):
    import smplx

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        free.write_official(folder, ("smplx",))
        return smplx.create(folder, "smplx", use_pca=False, use_face_contour=True, batch_size=batch)


def _body_parameters(batch):
    generator = torch.Generator().manual_seed(0)
    sizes = {"root_pose": 3, "body_pose": 63, "jaw_pose": 3, "leye_pose": 3, "reye_pose": 3, "lhand_pose": 45}
    sizes |= {"rhand_pose": 45, "shape": 10, "expression": 10}
    draw = lambda size: (torch.randn(batch, size, generator=generator) * 0.3).requires_grad_()  # noqa: E731
    return {name: draw(size) for name, size in sizes.items()}


def _smplx():
    import smplx

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        path = str(free.write_official(folder)[0])
        return smplx.create(path, "mano", is_rhand=True, use_pca=False, flat_hand_mean=True)


def _parameters(batch):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, 48, generator=generator) * 0.3, torch.randn(batch, 10, generator=generator)


def _forward(layer, parameters):
    def run():
        with torch.no_grad():
            layer()

    return run


def _backward(layer, parameters):
    def run():
        verts, joints = layer()
        torch.autograd.grad(verts.sum() + joints.sum(), parameters)

    return run


BENCHES = [bench_mano, bench_smplx]
