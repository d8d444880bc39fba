import torch
from tolerances import assert_close

from handlib import networks
from handlib.networks import internet
from handlib.networks.blocks.resnet import ResNet
from handlib.verify import interhand_network, reference


def test_equal_to_the_published_implementation():
    rows = list(interhand_network.internet_network(reference.shipped("interhand")))
    assert rows and not [row for row in rows if not row.ok]


def test_highest_cell_is_x_y_z():
    volume = torch.zeros(1, 2, 3, 4, 5)
    volume[0, 0, 1, 2, 3] = volume[0, 1, 2, 0, 4] = 1
    assert_close(internet.highest_cell(volume), [[[3.0, 2.0, 1.0], [4.0, 0.0, 2.0]]])


def test_target_volume_peaks_at_the_joint():
    volume = internet.target_volume(torch.tensor([[[10.0, 20.0, 30.0]]]))
    assert volume.shape == (1, 1, 64, 64, 64)
    assert volume.max() == volume[0, 0, 30, 20, 10] == 255


def test_imagenet_file_fills_the_backbone(tmp_path):
    torch.manual_seed(1)
    state = ResNet().state_dict()
    torch.save(state | {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}, tmp_path / "resnet50.pth")
    net = networks.create("internet")
    assert networks.load_backbone(net, tmp_path / "resnet50.pth") == ["fc.weight", "fc.bias"]
    assert all(torch.equal(value, state[name]) for name, value in net.backbone.state_dict().items())
