"""Several packs in one training: who comes how often, in which order, and what a training begins with."""

import types
from collections import Counter

import numpy as np
import pytest
import torch

from handlib import networks, recipes, training
from handlib.files import InputError
from handlib.networks import transplants
from handlib.training import beginning, data, mixing


class Pack:
    def __init__(self, dataset, length, hash=None, **options):
        self.manifest = {"dataset": dataset, "hash": hash or dataset, "options": options}
        self.length, self.folder = length, dataset

    def __len__(self):
        return self.length

    def __getitem__(self, place):
        return self.manifest["dataset"], range(self.length)[place]


@pytest.fixture
def recipe():
    return recipes.read("hand4whole_stage1")


def test_groups_weigh_the_same(recipe):
    """As published: Human3.6M's 7 as often as MSCOCO's and MPII's 16 together; none of the 7 more than once more."""
    packs = [Pack("mscoco", 10), Pack("mpii", 6), Pack("human36m", 7)]
    whole, mixture = mixing.mixture(mixing.arranged(recipe, packs))
    assert len(whole) == 23 and len(mixture) == 32 and mixture.copies == 3
    order = data.Order(mixture, 8, 4, seed=1)
    taken = []
    for epoch in range(2):
        order.set_epoch(epoch)
        taken.append(list(order))
        seen = Counter(whole[place] for _, place in taken[-1])
        names = Counter(name for name, _ in seen.elements())
        assert names == {"human36m": 16, "mscoco": 10, "mpii": 6} and len(seen) == 23
        assert {count for (name, _), count in seen.items() if name == "human36m"} == {2, 3}
    assert len({*taken[0], *taken[1]}) == 64, "no draw of the augmentation comes twice"
    assert taken[0] != taken[1]


def test_the_order_is_a_function_of_seed_and_round():
    mixture = mixing.Mixture([np.arange(9), np.arange(9, 13)])
    alone, again = (list(data.Order(mixture, 6, 1, seed=4)) for _ in range(2))
    assert alone == again != list(data.Order(mixture, 6, 1, seed=5))
    shared = [list(data.Order(mixture, 6, 1, seed=4, rank=rank, world=3)) for rank in range(3)]
    for step in range(3):
        together = {place for part in shared for place in part[2 * step : 2 * step + 2]}
        assert together == set(alone[6 * step : 6 * step + 6])


def test_one_group_is_put_one_after_the_other():
    mixture = mixing.Mixture([np.arange(5)])
    assert mixture.copies == 1 and mixture.round(None).tolist() == [[0, place] for place in range(5)]
    whole, mixture = mixing.mixture([[Pack("agora", 4), Pack("agora", 3)]], samples=2)
    assert [whole[place] for place in mixture.groups[0]] == [("agora", 0), ("agora", 3), ("agora", 0), ("agora", 2)]


def test_packs_are_arranged_as_the_recipe_says(recipe):
    packs = [Pack("mpii", 1), Pack("human36m", 1), Pack("mscoco", 1)]
    groups = mixing.arranged(recipe, packs)
    assert (
        mixing.hashes(groups)
        == [["human36m"], ["mscoco", "mpii"]]
        == mixing.hashes(mixing.arranged(recipe, packs[::-1]))
    )
    assert (
        mixing.hashes(mixing.arranged(recipe, packs[0])) == "mpii" == mixing.hashes(mixing.arranged(recipe, packs[:1]))
    )
    two = [Pack("agora", 1, "a"), Pack("agora", 1, "b")]
    assert mixing.hashes(mixing.arranged(recipes.read("hand4whole_agora"), two)) == [["a", "b"]]


@pytest.mark.parametrize(
    "packs, field, words",
    [
        ([], None, "there is none"),
        ([Pack("mscoco", 1), Pack("human36m", 1)], "mix", "mixes human36m half and half .*; there is no mpii"),
        ([Pack("ehf", 1)], "dataset", "is of dataset 'ehf'; this recipe is for 'human36m' or 'mpii' or 'mscoco'"),
        ([Pack("mscoco", 1, mode="x")], "mode", "is of mode 'x'"),
    ],
)  # fmt: skip
def test_packs_that_do_not_fit(recipe, packs, field, words):
    with pytest.raises(InputError, match=words) as error:
        mixing.arranged(recipe, packs)
    assert error.value.field == field


def test_validation_is_of_its_own_data_set(tmp_path):
    with pytest.raises(InputError, match="this recipe is for 'ehf' or 'human36m' or 'mpii' or 'mscoco'"):
        training.fit("hand4whole_stage1", Pack("mscoco", 4), tmp_path, validation=Pack("agora", 2))


# What it begins with


@pytest.fixture(scope="module")
def hand(tmp_path_factory):
    """A folder with a hand network that was trained, and its backbone as Simple Baseline's file has it."""
    torch.manual_seed(5)
    folder, net = tmp_path_factory.mktemp("start"), networks.create("pose2pose_hand")
    networks.save(net, folder / "own")
    torch.save(net.backbone.state_dict(), folder / "body_pose_resnet_50_256x192.pth.tar")
    return folder, net


def test_it_begins_with_what_the_recipe_names(hand):
    """Here with the smallest network that has such a backbone."""
    folder, net = hand
    settings = {"transplant": "convert_simple_to_pose2pose", "start": folder / "body_pose_resnet_50_256x192.pth.tar"}
    recipe = recipes.read("pose2pose_hand", **settings)
    begun, fresh = beginning.network(recipe), beginning.network(recipe, start=False)
    assert torch.equal(begun.backbone.conv1.weight, net.backbone.conv1.weight)
    assert not torch.equal(fresh.backbone.conv1.weight, net.backbone.conv1.weight)
    assert torch.equal(fresh.joints.conv[0].weight, begun.joints.conv[0].weight), "the seed's"
    assert recipe.identity()["start"] == str(settings["start"])
    own = training.network(recipes.read("pose2pose_hand", start=folder / "own"))
    assert torch.equal(own.joints.conv[0].weight, net.joints.conv[0].weight)


def test_the_third_stage_begins_with_both(hand, monkeypatch):
    given = []

    def merge(*files):
        given.extend(files)
        return transplants.Transplant({"network": {}}, 0, (), "")

    monkeypatch.setattr(transplants, "merge_hand_to_all", merge)
    monkeypatch.setattr(transplants.Transplant, "into", lambda self, net: given.append(net))
    recipe, net = recipes.read("hand4whole_stage3", start=["stage1", "stage2"]), hand[1]
    beginning.begin(net, recipe)
    assert given == ["stage1", "stage2", net]
    with pytest.raises(InputError, match="give 2: Hand4Whole's first stage, hand-only Pose2Pose") as error:
        beginning.begin(net, recipes.read("hand4whole_stage3", start="stage1"))
    assert error.value.field == "start"


def test_a_checkpoint_of_another_network_is_no_start(hand):
    recipe = recipes.read("hand4whole_stage1", transplant=None, start=hand[0] / "own")
    with pytest.raises(InputError, match="was written from 'pose2pose_hand', not 'hand4whole'"):
        beginning.begin(types.SimpleNamespace(name="hand4whole"), recipe)


def test_every_tool_is_known():
    assert all(callable(getattr(transplants, name)) for name in recipes.TRANSPLANTS)
