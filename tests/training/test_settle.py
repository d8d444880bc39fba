import torch

from handlib.training.module import settle


def test_statistics_are_those_of_the_passes():
    net = torch.nn.Sequential(torch.nn.BatchNorm2d(3, momentum=0.1), torch.nn.BatchNorm2d(3))
    net[1].eval()  # frozen: to be left alone
    net[0].running_mean.fill_(7)
    draw = torch.Generator().manual_seed(0)
    passes = [2 + torch.randn(4, 3, 8, 8, generator=draw), 4 + torch.randn(4, 3, 8, 8, generator=draw)]
    settle(net, passes)
    means = torch.stack([each.mean((0, 2, 3)) for each in passes]).mean(0)
    variances = torch.stack([each.var((0, 2, 3)) for each in passes]).mean(0)
    torch.testing.assert_close(net[0].running_mean, means)
    torch.testing.assert_close(net[0].running_var, variances)
    assert net[0].momentum == 0.1 and net[0].training
    assert not net[1].running_mean.any() and (net[1].running_var == 1).all()
