import io

import numpy as np
import pytest
import torch

from handlib.fields import HAND21
from handlib.viewer import figures, occlusion


class Net(torch.nn.Module):
    """Answers like HandOccNet: head h of a cell's query looks at the cell h columns to its right alone."""

    def forward(self, images, stages):
        assert stages and not self.training
        heat = torch.zeros(len(images), 21, 32, 32)
        heat[..., 3, 7] = 1
        return {"heatmaps": heat, "joints_img": torch.full((len(images), 21, 2), 0.5)}

    def attention(self, images):
        count = len(images)
        mask = torch.linspace(0, 1, 32).expand(count, 1, 32, 32)  # rises to the right
        fit = torch.zeros(count, 4, 1024, 1024)
        queries = torch.arange(1024)
        gate = torch.tensor([0.2, 0.4, 0.6, 0.8])[:, None].expand(count, 4, 1024)
        for head in range(4):
            fit[:, head, queries, (queries + head) % 1024] = gate[0, head, 0]
        features = torch.full((count, 256, 32, 32), -2.0)
        return {
            "mask": mask, "primary": features, "secondary": features / 2, "fit": fit, "gate": gate,
            "set": torch.full((count, 4, 1024, 1024), 1 / 1024),
        }  # fmt: skip


def _items(count=2):
    draw = np.random.default_rng(0)
    truth = draw.uniform(0.1, 0.7, (count, 21, 2)).astype(np.float32)
    truth[0, 8] = 0.76, 0.27  # column 24, row 8
    truth[0, 0] = -0.3, 0.99  # beyond the crop: column 0, row 31
    images = draw.random((count, 3, 64, 64), np.float32)
    return [{"image": image, "targets": {"joints_img": place}} for image, place in zip(images, truth, strict=True)]


@pytest.fixture
def seen():
    return occlusion.look(Net(), _items())


def test_a_look_asks_at_the_joints(seen):
    assert seen.fit.shape == seen.set.shape == (2, 21, 4, 32, 32) and seen.gate.shape == (2, 21, 4)
    for head, gate in enumerate((0.2, 0.4, 0.6, 0.8)):
        shown = seen.fit[0, 8, head]
        assert np.argwhere(shown).tolist() == [[8, 24 + head]] and shown.sum() == pytest.approx(gate)
    assert np.argwhere(seen.fit[0, 0, 0]).tolist() == [[31, 0]]
    np.testing.assert_allclose(seen.gate[1, 3], [0.2, 0.4, 0.6, 0.8], rtol=1e-6)
    np.testing.assert_allclose(seen.primary, 2)
    np.testing.assert_allclose(seen.secondary, 1)
    assert seen.size.tolist() == [64, 64]


def test_the_mask_at_a_joint(seen):
    np.testing.assert_allclose(seen.passed[0, [0, 8]], [0, 24 / 31], rtol=1e-6)
    assert occlusion.least_passed(seen, 0) == "wrist"
    leftmost = HAND21.joints[int(occlusion.cells(seen.truth[1])[:, 0].argmin())]
    assert occlusion.least_passed(seen, 1) == leftmost


def test_how_far_a_query_looks(seen):
    row = occlusion.reach(seen, 0)[8]
    middle = np.array([24.5, 8.5]) * 2
    heads = np.hypot(*(middle[:, None] + [2 * np.arange(4), np.zeros(4)] - (seen.truth[0, 8] * 64)[:, None]))
    assert row["joint"] == "index4" and row["gate"] == pytest.approx(0.5)
    assert row["fit_px"] == pytest.approx(np.average(heads, weights=[0.2, 0.4, 0.6, 0.8]), rel=1e-5)
    assert row["set_px"] > 20, "SET looks everywhere"


@pytest.mark.parametrize(
    "draw, maps",
    [
        (lambda looks: occlusion.parting(looks["after"], ["one", "two"]), 6),  # mask and two energies, of two crops
        (lambda looks: occlusion.heat_maps(looks["after"]), 10),
        (lambda looks: occlusion.while_training(looks), 2 * (1 + 5)),
        (lambda looks: occlusion.attention(looks, 1, "little2"), 2 * 5),
    ],
)
def test_every_figure_is_drawn(seen, draw, maps):
    figure = draw({"untrained": seen, "after": seen})
    figure.savefig(io.BytesIO(), format="png", dpi=40)
    layers = [image for axes in figure.axes for image in axes.images if np.shape(image.get_array())[:2] == (32, 32)]
    assert len(layers) == maps
    assert all(list(layer.get_extent()) == [0, 64, 64, 0] for layer in layers)


def test_attention_says_which_gate_and_frames_the_cell(seen):
    figure = occlusion.attention({"after": seen}, 0, "index4")
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[0] == f"after: m here {24 / 31:.2f}" and titles[2] == "FIT, head 2: gate 0.40"
    frames = [patch for patch in figure.axes[1].patches if patch.get_width() == 2]
    assert frames and {frame.get_xy() for frame in frames} == {(48, 16)}


def test_pale_pictures_are_grey():
    pale = figures.pale(np.zeros((3, 4, 5), np.float32))
    assert pale.shape == (4, 5, 3) and (pale == 102).all()
    assert (figures.pale(np.full((4, 5, 3), 255, np.uint8)) == 255).all()
