"""Recipes: published values, overrides, and errors that name the right setting."""

import inspect

import pytest
import torch

from handlib import crops, networks, recipes
from handlib.files import InputError
from handlib.networks import i2l_meshnet, integral_pose
from handlib.verify.reference import shipped

OAKINK = {"IntegralPose": "integral_pose", "RegressFlow3D": "rle", "I2L_MeshNet": "i2l_meshnet"}


def test_digit_has_the_published_values():
    recipe = recipes.read("digit_interhand")
    published = shipped("interhand").json("training.json")["digit"]
    command, schedule = published["command_line"], published["schedule"]
    assert recipe.batch == command["batch_size"] and recipe.per_device_batch == command["iter_batch"]
    assert recipe.epochs == command["max_epoch"] and recipe.validate_every == command["eval_every_epoch"]
    assert recipe.precision == f"{command['precision']}-mixed"
    assert recipe.optimizer == published["optimizer"]["name"].lower() and recipe.lr == published["optimizer"]["lr"]
    assert list(recipe.milestones) == schedule["milestones"] and recipe.gamma == schedule["gamma"]
    assert {"shuffle": recipe.shuffle, "drop_last": recipe.drop_last} == published["loader"]["train"]
    assert recipe.seed == published["defaults"]["seed"] and recipe.workers == published["defaults"]["num_workers"]
    assert recipe.monitor in published["checkpoints"] and recipe.backbone is None
    assert recipe.accumulation() == 2


def test_digit_has_the_published_augmentation():
    drawn = recipes.read("digit_interhand").augmentation
    published = shipped("interhand").json("training.json")["digit"]["augmentation"]
    assert drawn == {
        "shift": published["translation_fraction_of_box"],
        "scale": published["scale_factor"],
        "rotation_degrees": published["rotation_degrees"],
        "rotation_chance": published["rotation_probability"],
        "mirror_chance": published["flip_probability"],
        "colour": published["colour_factor"],
    }


@pytest.mark.parametrize("split", ["SP0", "SP1", "SP2"])
@pytest.mark.parametrize("model", OAKINK)
def test_oakink_has_the_published_values(model, split):
    configs = shipped("oakink").json("configs.json")
    published, shared = configs[f"{model}/{split}"], configs["_shared"]
    recipe, values = recipes.read(f"{OAKINK[model]}_oakink_{split.lower()}"), published["training"]
    assert (recipe.network, recipe.dataset, recipe.mode) == (OAKINK[model], "oakink", published["split_mode"])
    assert (recipe.seed, recipe.batch, recipe.epochs) == tuple(
        values[name] for name in ("seed", "total_batch_size", "epochs")
    )
    assert recipe.accumulation(4) == 1 and "4 GPUs" in shared["trained_on"]  # each holds a quarter of the batch
    assert values["optimiser"].lower().startswith(f"{recipe.optimizer} (torch defaults") and not values["weight_decay"]
    assert (recipe.lr, recipe.clip) == (values["lr"], values["gradient_clip"]["norm"])
    assert list(recipe.milestones) == values["schedule"]["milestones_epochs"]
    assert recipe.gamma == values["schedule"]["gamma"] and recipe.root_depth == recipe.validation_root_depth == "gt"
    assert (recipe.precision, recipe.published, recipe.backbone) == ("32-true", False, None)
    drawn = published["augmentation"]["train"]
    assert recipe.augmentation == {
        "scale": drawn["scale_jitter"],
        "rotation_degrees": drawn["rotation_jitter_deg"],
        "rotation_chance": drawn["rotation_probability"],
        "colour": drawn["colour_jitter"],
        "occlusion_chance": drawn["occlusion"] and drawn["occlusion_probability"],
    }
    assert recipe.augmentation.keys() <= inspect.signature(crops.draw_single).parameters.keys()
    with torch.device("meta"):
        spec, preset = networks.create(recipe.network).input, published["preset"]
    assert (list(spec.size), spec.root) == (preset["image_size_wh"], preset["centre_joint"])
    assert (spec.box_scale, spec.depth_span) == (preset["bbox_expand_ratio"], shared["depth_range_m"])


def test_oakink_recipes_are_all_published_ones():
    made = {f"{OAKINK[name.split('/')[0]]}_oakink_{name.split('/')[1].lower()}"
            for name in shipped("oakink").json("configs.json") if "/" in name}  # fmt: skip
    assert made == {name for name in recipes.names() if "_oakink_" in name}


def test_oakink_losses_have_the_published_weights():
    configs = shipped("oakink").json("configs.json")
    for split in ("SP0", "SP1", "SP2"):
        assert integral_pose.LOSS_WEIGHT == configs[f"IntegralPose/{split}"]["loss"]["weight"]
        weights = configs[f"I2L_MeshNet/{split}"]["loss"]
        assert i2l_meshnet.WEIGHTS == {name: weight for name, weight in weights.items() if weight}
        assert i2l_meshnet.SIGMA == configs[f"I2L_MeshNet/{split}"]["network"]["heatmap_sigma"]


def test_learning_rate_is_a_function_of_the_epoch():
    recipe = recipes.read("digit_interhand", milestones=[2, 4])
    assert [recipe.learning_rate(epoch) for epoch in range(6)] == pytest.approx([1e-4, 1e-4, 1e-5, 1e-5, 1e-6, 1e-6])


def test_a_cosine_falls_at_every_step():
    """As torch's CosineAnnealingLR over all steps, as OSX's code has it."""
    recipe = recipes.read("osx_setting1", epochs=3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=recipe.lr)
    official, rates = schedule(optimizer, 3 * 4, recipe.lr_end), []
    for _ in range(3 * 4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        official.step()
    mine = [recipe.learning_rate(epoch, step, 4) for epoch in range(3) for step in range(4)]
    assert mine == pytest.approx(rates, rel=1e-9) and mine[0] == 1e-4
    assert "epochs" in recipe.identity() and "epochs" not in recipes.read("hand4whole_stage1").identity()


def test_whole_body_recipes_have_the_published_values():
    tools = shipped("wholebody").json("tools.json")
    own, osx = tools["hand4whole_training"], tools["osx_training"]
    names = {"Human36M": "human36m", "MSCOCO": "mscoco", "MPII": "mpii", "UBody": "ubody", "AGORA": "agora"}
    names |= {"FreiHAND": "freihand", "InterHand26M": "interhand"}
    mixes = {"hand4whole_stage1": own["sets"], "osx_setting1": osx["setting1"]["sets"],
             "osx_ubody": osx["setting3_ubody_benchmark"]["sets"]}  # fmt: skip
    hand = tools["pose2pose_training"]["hand"]
    mixes["pose2pose_hand"] = {"3d": hand["trainset_3d"], "2d": hand["trainset_2d"]}
    for name, sets in mixes.items():
        assert recipes.read(name).mix == tuple(tuple(names[one] for one in sets[kind]) for kind in ("3d", "2d"))
    for name, setting in (("osx_setting1", "setting1"), ("osx_agora", "setting2_agora_benchmark")):
        recipe, said = recipes.read(name), osx[setting]
        assert (recipe.epochs, recipe.lr, recipe.batch) == (
            said["end_epoch"],
            1e-4,
            said["batch_per_gpu"] * said["gpus"],
        )
        assert recipe.network_options["decoder"] == said["decoder_setting"] and recipe.schedule == "cosine"
        assert recipe.network_options.get("smplx_loss_weight", 1) == said["smplx_loss_weight"]
    assert recipes.read("osx_agora").network_options["camera_only"] and recipes.read("osx_agora").mix is None
    assert recipes.read("hand4whole_agora").network_options == {"camera_only": True}
    starts = [recipes.read(f"hand4whole_{stage}").transplant for stage in ("stage1", "stage3", "agora")]
    assert starts == ["convert_simple_to_pose2pose", "merge_hand_to_all", "reset_epoch"]


def test_batch_is_shared_among_devices():
    recipe = recipes.read("digit_interhand")
    assert [recipe.accumulation(devices) for devices in (1, 2)] == [2, 1]
    assert recipes.read("digit_interhand", per_device_batch=8).accumulation(4) == 2
    with pytest.raises(InputError, match="not a multiple of per_device_batch 32 x 3"):
        recipe.accumulation(3)


def test_overrides_replace_and_augmentation_merges():
    recipe = recipes.read("digit_interhand", epochs=2, lr=1, augmentation={"mirror_chance": 0.0})
    assert (recipe.epochs, recipe.lr, recipe.batch) == (2, 1.0, 64)
    assert recipe.augmentation["mirror_chance"] == 0.0 and recipe.augmentation["shift"] == 0.15
    assert recipes.read(recipe, augmentation=None).augmentation is None


@pytest.mark.parametrize(
    "overrides, field, hint",
    [
        ({"epoch": 2}, "epoch", "did you mean 'epochs'"),
        ({"learning_rate": 1.0}, "learning_rate", "known: "),
        ({"augmentation": {"mirror": 0}}, "mirror", "did you mean 'mirror_chance'"),
        ({"epochs": "2"}, "epochs", "must be int"),
        ({"epochs": True}, "epochs", "must be int"),
        ({"lr": None}, "lr", "must be float"),
        ({"batch": 0}, "batch", "must be positive"),
        ({"schedule": "cosinus"}, "schedule", "one of None, cosine"),
        ({"schedule": "cosine"}, "lr_end", "to what rate"),
        ({"transplant": "merge"}, "transplant", "merge_hand_to_all"),
        ({"mix": ["mscoco", "mpii"]}, "mix", "list of lists"),
    ],
)
def test_wrong_overrides_name_the_right_one(overrides, field, hint):
    with pytest.raises(InputError, match=hint) as error:
        recipes.read("digit_interhand", **overrides)
    assert error.value.field == field


def test_wrong_recipes_are_refused(tmp_path):
    with pytest.raises(InputError, match="use one of digit_interhand"):
        recipes.read("digit")
    with pytest.raises(InputError, match="does not exist"):
        recipes.read(tmp_path / "mine.yaml")
    broken = tmp_path / "mine.yaml"
    for text, problem in [("a: [", "not YAML"), ("7", "no settings"), ("lrr: 1", "'lr'"), ("lr: 1.0", "is missing")]:
        broken.write_text(text)
        with pytest.raises(InputError, match=problem):
            recipes.read(broken)


def test_every_recipe_reads_from_its_own_file(tmp_path):
    for name in recipes.names():
        copy = tmp_path / f"{name}.yaml"
        copy.write_text((recipes.FOLDER / f"{name}.yaml").read_text())
        assert recipes.read(copy) == recipes.read(name)


@pytest.mark.parametrize("dataset, published", [("ho3d", "HO3D"), ("dexycb", "DEX_YCB")])
def test_handoccnet_has_the_published_values(dataset, published):
    recipe = recipes.read(f"handoccnet_{dataset}")
    rates = shipped("handoccnet").json("loss.json")["lr_by_epoch"][published]
    assert [recipe.learning_rate(epoch) for epoch in range(recipe.epochs)] == pytest.approx(rates, rel=1e-12)
    assert (recipe.network, recipe.dataset, recipe.optimizer, recipe.clip) == ("handoccnet", dataset, "adam", None)
    assert (recipe.batch, recipe.per_device_batch, recipe.accumulation(4), recipe.accumulation(1)) == (64, 16, 1, 4)
    drawn = inspect.signature(crops.draw_mano).parameters
    assert recipe.augmentation == {name: drawn[name].default for name in drawn if name != "rng"}
