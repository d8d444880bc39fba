import pytest
import torch
from tolerances import assert_close

from handlib.networks.blocks import heads
from handlib.networks.blocks.hrnet import HRNet
from handlib.networks.blocks.resnet import ResNet
from handlib.networks.blocks.unet import UNet, enlarge


def test_resnet_layers_halve_and_widen():
    with torch.device("meta"):
        net = ResNet()
        shapes = [tuple(x.shape) for x in net(torch.zeros(1, 3, 64, 96))]
    assert shapes == [(1, 256, 16, 24), (1, 512, 8, 12), (1, 1024, 4, 6), (1, 2048, 2, 3)]
    assert (
        sum(value.numel() for value in net.parameters()) == 25_557_032 - 1000 * 2049
    )  # torchvision's, less its classifier


def test_hrnet_keeps_a_quarter_of_the_size_and_names_its_stages():
    named = {}
    out = HRNet(width=4).eval()(torch.rand(1, 3, 64, 96), named.__setitem__)
    assert out.shape == (1, 4, 16, 24)
    assert {name: tuple(x.shape[1:]) for name, x in named.items() if name.startswith("stage")} == {
        "stage2_b0": (4, 16, 24), "stage2_b1": (8, 8, 12),
        "stage3_b0": (4, 16, 24), "stage3_b1": (8, 8, 12), "stage3_b2": (16, 4, 6),
    }  # fmt: skip


def test_recorded_stages_are_not_changed_afterwards():
    """ReLUs work in place; a stage that a later layer wrote over would differ from the same stage computed alone."""
    torch.manual_seed(0)
    net = HRNet(width=4).eval()
    images, kept, copied = torch.rand(1, 3, 64, 64), {}, {}

    def keep(name, tensor):
        kept[name], copied[name] = tensor, tensor.clone()

    with torch.inference_mode():
        net(images, keep)
    assert all(torch.equal(kept[name], copied[name]) for name in kept)


def test_unet_gives_back_the_size():
    assert UNet(6, 5, widths=(2, 4, 8, 8)).eval()(torch.rand(2, 6, 16, 24)).shape == (2, 5, 16, 24)


def test_enlarge_keeps_the_corners():
    x = torch.arange(4.0).reshape(1, 1, 2, 2)
    big = enlarge(x)[0, 0]
    assert_close(big[[0, 0, -1, -1], [0, -1, 0, -1]], x.flatten())
    assert_close(big[0], [0, 1 / 3, 2 / 3, 1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_reading_off_a_peak_is_exact_in_every_precision(dtype):
    maps = torch.zeros(1, 2, 4, 6, dtype=dtype)
    maps[0, 0, 1, 5] = maps[0, 1, 3, 2] = 200
    probability = heads.spatial_softmax(maps)
    assert probability.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert_close(heads.expected_cell(probability), [[[5.0, 1.0], [2.0, 3.0]]])
    assert_close(heads.expected_index(maps[0, 0, 1][None]), [[5.0]])


def test_a_flat_map_reads_as_its_middle():
    probability = heads.spatial_softmax(torch.zeros(1, 1, 4, 6))
    assert_close(heads.expected_cell(probability), [[[2.5, 1.5]]])
