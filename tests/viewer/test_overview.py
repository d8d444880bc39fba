import numpy as np

from handlib.viewer import overview


def test_facts_and_summary(pack, pair):
    facts = overview.facts(pack)
    assert list(facts["annotated"]) == [41 / 42, 1.0]
    assert list(facts["fitted"]) == [True, False]
    nearest = np.linalg.norm(pair["joints_cam"][:, 0], axis=-1)
    assert np.allclose(facts["distance_m"], [nearest.min(), nearest[1]])
    assert list(facts["box_px"]) == [90, 90]
    summary = overview.summary(pack)
    assert list(summary.loc["left", ["frames", "mano_fits"]]) == [1, 0]


def test_a_large_pack_is_sampled_evenly(pack):
    assert list(overview.facts(pack, most=1)["key"]) == ["train/pair.jpg"]


def test_figure_shows_every_joint(pack):
    figure = overview.figure(pack)
    heights = [bar.get_height() for bar in figure.axes[2].patches]
    assert len(heights) == 21
    assert np.isclose(heights[4], 100 * 2 / 3) and np.isclose(heights[0], 100)
