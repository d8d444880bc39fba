import subprocess
import sys

import pytest
import torch
from tolerances import assert_close

from handlib import networks
from handlib.files import InputError
from handlib.verify import reference


def test_names_can_be_created_and_others_are_refused_with_the_names():
    assert {"digit", "internet"} <= set(networks.names())
    with pytest.raises(InputError, match="digit, internet"):
        networks.create("digits")


def test_listing_the_names_brings_in_no_torch():
    code = "import sys, handlib; handlib.networks.names(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize("name", ["digit", "internet"])
def test_key_table_covers_the_published_names_both_ways(name):
    with torch.device("meta"):
        net = networks.create(name)
    listed = reference.load_keys(reference.shipped("interhand").path(f"keys_{name}.json"))
    shapes = {net.keys.ours(key): shape for key, shape, _ in listed}
    assert shapes == {key: tuple(value.shape) for key, value in net.state_dict().items()}
    for key, _, _ in listed:
        assert net.keys.published(net.keys.ours(key)) == net.keys.bare(key)
        assert net.keys.ours(net.keys.bare(key)) == net.keys.ours(key)


def test_digit_has_the_published_number_of_parameters():
    with torch.device("meta"):
        assert sum(value.numel() for value in networks.create("digit").parameters()) == 40_711_475


@pytest.mark.parametrize("wrapper", ["", "model.", "module.", "module.model."])
def test_published_names_load_with_any_wrapper(tiny, published, wrapper):
    fresh = networks.create("tiny")
    networks.load_published(fresh, {wrapper + name.removeprefix("model."): value for name, value in published.items()})
    for name, value in tiny.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], value), name


def test_every_wrong_key_is_named_and_counted_and_nothing_is_copied(tiny, published):
    before = {name: value.clone() for name, value in tiny.state_dict().items()}
    wrong = {name: value + 1 for name, value in published.items()}
    del wrong["model.net.fc.bias"], wrong["model.net.trunk.features.1.running_var"]
    wrong["model.net.extra.weight"] = torch.zeros(1)
    wrong["model.net.fc.weight"] = torch.zeros(2, 5)
    wrong["net.trunk.features.0.bias"] = torch.zeros(4)
    with pytest.raises(InputError) as caught:
        networks.load_published(tiny, wrong, "some.ckpt")
    message = str(caught.value)
    assert message.startswith("some.ckpt")
    for part in (
        "2 missing: net.trunk.features.1.running_var, net.fc.bias",
        "1 unexpected: model.net.extra.weight",
        "1 given twice: net.trunk.features.0.bias",
        "1 of another shape: model.net.fc.weight (2, 5) instead of (2, 4)",
    ):
        assert part in message
    assert all(torch.equal(value, before[name]) for name, value in tiny.state_dict().items())


def test_a_value_that_is_no_tensor_is_named(tiny, published):
    with pytest.raises(InputError, match="fc.bias gone instead of"):
        networks.load_published(tiny, published | {"model.net.fc.bias": "gone"})


@pytest.mark.parametrize("shape", [(1, 8, 8, 3), (3, 8, 8), (1, 3, 8, 16)])
def test_pictures_of_another_shape_are_refused(tiny, shape):
    with pytest.raises(InputError, match=r"give \(B, 3, 8, 8\)"):
        tiny(torch.zeros(shape))


def test_pictures_in_bytes_are_refused(tiny):
    with pytest.raises(InputError, match="uint8"):
        tiny(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


def test_memory_layout_is_channels_last_but_for_training_on_a_cpu(tiny):
    images = torch.rand(2, 3, 8, 8)
    assert tiny.train().prepared(images).is_contiguous()
    evaluated = tiny.eval().prepared(images)
    assert evaluated.is_contiguous(memory_format=torch.channels_last)
    assert tiny.train().prepared(evaluated).is_contiguous()
    assert_close(evaluated, images)


def test_a_network_without_a_backbone_file_says_so(tiny):
    with pytest.raises(InputError, match="takes no backbone file"):
        networks.load_backbone(tiny, "some.pth")
