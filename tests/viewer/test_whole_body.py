"""Looks at whole-body networks: boxes, volumes and cuts in the right places, OSX's tokens and decoders."""

import io

import numpy as np
import pytest
import torch

from handlib import bodies, geometry
from handlib.body_joints import PARTS137, SMPLX65
from handlib.networks.blocks import vit
from handlib.viewer import attention, figures, whole_body

ROWS = {name: place for place, name in enumerate(SMPLX65.joints)}
BOX = {"lhand": (120.0, 100.0, 168.0, 148.0), "rhand": (16.0, 100.0, 64.0, 148.0), "face": (72.0, 20.0, 120.0, 68.0)}


class Encoder(torch.nn.Module):
    """One block; tokens and patches are given."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.blocks = torch.nn.ModuleList([vit.Block(64, 4, 0.0)])
        self.given = torch.randn(1, 31 + 16 * 12, 64)


class Net(torch.nn.Module):
    """Answers like OSX: every body joint in cell (4, 5) and depth 6, hands' joints in cell (2 + joint % 4, 8)."""

    name, input, hand_volume = "osx_b", geometry.PersonInput(volume=(16, 16, 12)), (16, 16, 16)

    def __init__(self, layer, decoders=True):
        super().__init__()
        self.layer, self.encoder, self.decoders = layer, Encoder(), decoders

    def forward(self, images, stages):
        assert stages and not self.training
        count = len(images)
        x = self.encoder.blocks[0](self.encoder.given.expand(count, -1, -1))
        heat = torch.zeros(count, 25, 16, 16, 12)
        heat[..., 6, 5, 4] = 1
        places = torch.tensor([4.0, 5, 6]).expand(count, 65, 3)
        hand = torch.stack([torch.tensor([2.0 + joint % 4, 8, 3]) for joint in range(20)]).expand(2 * count, 20, 3)
        out = {f"{part}_box_xyxy": torch.tensor(box).expand(count, 4) for part, box in BOX.items()}
        out |= {"body_joint_hm": heat, "joints_img": places, "hand_joint_img": hand}
        out |= {
            "hand_joint_hm": torch.full((2 * count, 20, 16, 16, 16), 1 / 4096),
            "verts": torch.zeros(count, 10475, 3),
        }
        out |= {"task_tokens": x[:, :31], "img_feat": x[:, 31:].mT.unflatten(2, (16, 12))}
        if self.decoders:
            for part, rows, joints in (("hand", 2 * count, 20), ("face", count, 72)):
                queries = torch.arange(rows)[:, None, None, None] / 10 + torch.zeros(rows, joints, 3, 2)
                out[f"{part}_decoder_reference_points"] = queries
                out[f"{part}_looks"] = queries[:, :, None, :, None] + torch.tensor([0.3, 0.4]).expand(8, 3, 4, 2)
                out[f"{part}_looks_weights"] = torch.full((rows, joints, 8, 3, 4), 1 / 12)
        return out


@pytest.fixture(scope="module")
def layer():
    return bodies.load(None, "smplx_neutral")


def _item(layer):
    """A crop with two joints and one box annotated, and no fit."""
    rng = np.random.default_rng(0)
    image, valid = np.zeros((137, 3), np.float32), np.zeros((137, 1), np.float32)
    image[ROWS["L_Wrist"]], valid[ROWS["L_Wrist"]] = (9, 8, 0), 1
    image[ROWS["L_Index_4"]], valid[ROWS["L_Index_4"]] = (8.25, 7.75, 0), 1
    zero, one = np.float32(0), np.float32(1)
    targets = {"joint_img": image, "joint_cam": image, "joint_valid": valid, "joint_trunc": valid, "is_3D": zero}
    targets |= {"smplx_pose": np.zeros(159, np.float32), "smplx_shape": np.zeros(10, np.float32)}
    targets |= {"smplx_expr": np.zeros(10, np.float32), "smplx_joint_valid": np.zeros((137, 1), np.float32)}
    for part, known in (("lhand", one), ("rhand", zero), ("face", zero)):
        targets |= {f"{part}_bbox_center": np.float32([9, 8]), f"{part}_bbox_size": np.float32([1.5, 2])}
        targets[f"{part}_bbox_valid"] = known
    targets |= {"fit_pose": np.zeros((55, 3), np.float32), "fit_shape": np.zeros(10, np.float32), "fit_valid": zero}
    targets |= {"fit_expr": np.zeros(10, np.float32), "fit_transl": np.float32([0, 0, 3]), "fit_joints": zero}
    targets |= {"fit_world": np.eye(3, dtype=np.float32), "fit_K": np.eye(3, dtype=np.float32), "fit_flipped": zero}
    targets |= {"fit_affine": np.eye(3, dtype=np.float32)[:2], "fit_turn": np.eye(3, dtype=np.float32)}
    targets |= {"fit_width": np.float32(384)}
    return {"image": np.kron(rng.random((3, 64, 48), np.float32), np.ones((8, 8), np.float32)), "targets": targets}


@pytest.fixture(scope="module")
def items(layer):
    return [_item(layer), _item(layer)]


@pytest.fixture(scope="module")
def seen(layer, items):
    return whole_body.look(Net(layer), items)


def test_places_are_crop_pixels(seen):
    assert seen.size.tolist() == [384, 512]
    np.testing.assert_allclose(seen.pixels(seen.places[0, 0]), [4 * 32, 5 * 32])
    known = np.isfinite(seen.truth[0, :, 0])
    assert {SMPLX65.joints[row] for row in np.flatnonzero(known)} == {"L_Wrist", "L_Index_4"}
    assert np.isnan(seen.truth[0, ROWS["L_Wrist"], 2]), (
        "depth is unknown where joints are in 2D alone and there is no fit"
    )
    np.testing.assert_allclose(seen.true_boxes["lhand"][0], [9 * 32 - 24, 8 * 32 - 32, 48, 64])
    assert np.isnan(seen.true_boxes["face"]).all()


def test_cuts_are_of_the_boxes_and_left_hands_are_mirrored(seen, items):
    np.testing.assert_allclose(seen.boxes["rhand"][1], [32, 200, 128, 296])
    patch = items[0]["image"][:, 200:296, 240:336]  # the left hand's box: 96 pixels, half of the cut's
    mine = seen.cuts["lhand"][0][:, ::2, ::2][:, 4:-4, 4:-4]
    mirrored = patch[:, :, ::-1][:, 4:-4, 4:-4]
    assert np.corrcoef(mine.ravel(), mirrored.ravel())[0, 1] > 0.9
    assert abs(np.corrcoef(mine.ravel(), patch[:, 4:-4, 4:-4].ravel())[0, 1]) < 0.3
    tip = seen.in_cut("lhand", 0, seen.pixels(seen.truth[0, [ROWS["L_Index_4"]]]))
    np.testing.assert_allclose(tip, [[192 * (336 - 8.25 * 32) / 96, 192 * (7.75 * 32 - 200) / 96]])
    right = seen.in_cut("rhand", 0, np.array([[32.0, 248]]))
    np.testing.assert_allclose(right, [[0, 96]])


def test_attention_is_that_of_the_block(layer, seen):
    block, given = Net(layer).encoder.blocks[0], Net(layer).encoder.given
    with torch.no_grad():
        weights = block.attention(given)
        assert torch.allclose(weights.sum(-1), torch.ones(1, 4, 223))
        values = block.attn["qkv"](block.norm1(given)).unflatten(2, (3, 4, -1))[:, :, 2].transpose(1, 2)
        mixed = block.attn["proj"]((weights @ values).transpose(1, 2).flatten(2))
        assert torch.allclose(mixed, block._attention(block.norm1(given)), atol=1e-5)
    np.testing.assert_allclose(seen.shown["attention"][1], weights[0, :, :31, 31:].unflatten(2, (16, 12)), atol=1e-6)
    assert seen.shown["similarity"].shape == (2, 31, 16, 12) and np.abs(seen.shown["similarity"]).max() <= 1 + 1e-6


def test_decoders_are_asked_by_side(seen):
    for part, row in (("lhand", 1), ("rhand", 3)):
        looks, weights, query = attention._looks(seen, 1, part, "Index_4")
        np.testing.assert_allclose(query, row / 10, rtol=1e-6)
        np.testing.assert_allclose(looks - query, np.broadcast_to([0.3, 0.4], looks.shape), atol=1e-6)
        assert weights.shape == (8, 3, 4)
    table = attention.spread(seen, 0)
    assert [row["part"] for row in table] == ["left hand", "right hand", "face"]
    for row in table:
        assert (row["distance"], row["from map 2 x"]) == pytest.approx((0.5, 1 / 3), rel=1e-5)
    assert attention.unused(seen) == [4, 5, 2, 3]


def test_a_network_without_decoders_has_none_to_show(layer, items):
    bare = whole_body.look(Net(layer, decoders=False), items[:1])
    assert attention.spread(bare) == [] and attention.unused(bare) == [4, 5]
    with pytest.raises(KeyError, match="no decoder"):
        attention.reaching(bare)


def test_excess_is_pale_where_a_map_is_flat():
    assert (whole_body.excess(np.full((4, 4), 0.1)) == 0).all()
    one = np.zeros((4, 4))
    one[1, 2] = 1
    assert whole_body.excess(one)[1, 2] == 1 and whole_body.excess(one).sum() == 1


def test_every_figure_is_drawn(layer, items, seen):
    drawn = {
        "boxes": whole_body.boxes({"after": seen}),
        "volumes": whole_body.volumes(seen),
        "hands": whole_body.hands(seen, part="lhand"),
        "batch": whole_body.batch_sheet(Net(layer), items),
        "tokens": attention.tokens(seen),
        "similarity": attention.tokens(seen, 1, "similarity"),
        "reaching": attention.reaching(seen),
    }
    for name in ("boxes", "volumes", "hands", "batch", "reaching"):  # 31 panels take seconds
        drawn[name].savefig(io.BytesIO(), format="png", dpi=20)
    maps = [axes.images[1].get_array() for axes in drawn["similarity"].axes[:31]]
    np.testing.assert_allclose(maps, seen.shown["similarity"][1])
    titles = [axes.get_title() for axes in drawn["tokens"].axes]
    assert titles[:4] == ["shape", "camera", "expression (unused)", "jaw (unused)"] and titles[30] == "Nose"
    assert drawn["reaching"].axes[0].get_title() == "left hand: Thumb 4"
    outlines = [patch for patch in drawn["batch"].axes[0].patches if patch.get_width() == 48]
    assert len(outlines) == 1, "the one box that is annotated"
    dots = drawn["volumes"].axes[6].collections[0].get_offsets()
    np.testing.assert_allclose(dots, [[6, 5]])
    assert isinstance(drawn["boxes"], figures.Sheet) and PARTS137["face"].start == 65
