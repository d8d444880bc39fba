import dataclasses

import numpy as np
import own_pictures
import pytest
import roma
import torch

from handlib import smoothing
from handlib.files import InputError
from handlib.geometry import project


@pytest.fixture(scope="module")
def layers():
    return own_pictures.layers()


@pytest.fixture(scope="module")
def noisy(layers):
    return own_pictures.clip(layers, 24, noise=0.02)


RATE, TIMES = 30.0, np.arange(40)
RAMP = torch.arange(40, dtype=torch.float64)[:, None] * torch.tensor([[0.01, -0.02, 0.0]])
TURN = roma.rotvec_to_rotmat(torch.arange(40, dtype=torch.float64)[:, None, None] * torch.tensor([0.03, 0.05, -0.02]))
FILTERS = {"one_euro": smoothing.one_euro, "zero_lag": smoothing.zero_lag}


def _angles(one, other):
    return roma.rotmat_geodesic_distance(one, other)


@pytest.mark.parametrize("name", FILTERS)
def test_a_constant_stays_constant(name):
    still, turned = RAMP[5:6].expand(40, 3), TURN[7:8].expand(40, 1, 3, 3)
    assert torch.allclose(FILTERS[name](still, TIMES, RATE), still, atol=1e-14)
    assert _angles(FILTERS[name](turned, TIMES, RATE, True), turned).max() < 1e-7


def test_steady_motion_passes_without_lag_only_where_the_future_is_known():
    assert (smoothing.zero_lag(RAMP, TIMES, RATE) - RAMP).abs().max() < 1e-12
    assert _angles(smoothing.zero_lag(TURN, TIMES, RATE, True), TURN).max() < 1e-6
    lagging = smoothing.one_euro(RAMP, TIMES, RATE, cutoff=1.0)
    assert (RAMP - lagging)[20:, 0].min() > 0.01
    quick = smoothing.one_euro(RAMP, TIMES, RATE, cutoff=1.0, speed_factor=20.0)
    assert ((RAMP - quick)[20:, 0] < 0.6 * (RAMP - lagging)[20:, 0]).all(), "quicker in motion"


def test_gaps_in_a_clip_count_as_time():
    times = np.delete(TIMES, [11, 12, 20])
    assert (smoothing.zero_lag(RAMP[times], times, RATE) - RAMP[times]).abs().max() < 1e-12
    fresh = smoothing.one_euro(RAMP[times], times, RATE)
    assert torch.equal(fresh[11], RAMP[13]) and not torch.equal(fresh[12], RAMP[14]), "begins anew behind a gap"


@pytest.mark.parametrize("name, factor", [("one_euro", 0.7), ("zero_lag", 0.6)])
def test_noise_falls(name, factor):
    rng = torch.Generator().manual_seed(0)
    added = 0.05 * torch.randn(40, 1, 3, generator=rng, dtype=torch.float64)
    still = TURN[7:8].expand(40, 1, 3, 3)
    turned = still @ roma.rotvec_to_rotmat(added)
    before, after = (_angles(one, still)[5:].mean() for one in (turned, FILTERS[name](turned, TIMES, RATE, True)))
    assert after < factor * before
    assert FILTERS[name](added, TIMES, RATE)[5:].std() < factor * added[5:].std()


def test_one_euro_on_numbers_is_the_papers():
    """Algorithm 1 of Casiez et al. in plain numbers."""
    values, filtered, speed = [0.0, 1.0, 1.5, 1.2, 4.0], None, 0.0

    def share(cutoff):
        return 1 / (1 + (1 / (2 * np.pi * cutoff)) / (1 / 10.0))

    expected = []
    for value in values:
        if filtered is None:
            filtered = value
        else:
            speed = share(1.0) * (value - filtered) * 10.0 + (1 - share(1.0)) * speed
            part = share(1.2 + 0.3 * abs(speed))
            filtered = part * value + (1 - part) * filtered
        expected.append(filtered)
    filtering = smoothing.OneEuro(10.0, cutoff=1.2, speed_factor=0.3)
    got = [float(filtering(torch.tensor([value], dtype=torch.float64))) for value in values]
    assert np.allclose(got, expected, atol=1e-14)


def test_hands_are_followed_by_side_and_place(layers):
    both = own_pictures.prediction(layers)
    turned_round = both.only([1, 0])
    nobody = own_pictures.prediction(layers, ())
    found = smoothing.tracks([both, turned_round, nobody, both.only([0])])
    assert found == [smoothing.Track("right", (0, 1, 3), (0, 1, 0)), smoothing.Track("left", (0, 1), (1, 0))]
    away = dataclasses.replace(both, boxes=both.boxes + [300, 0, 0, 0])
    assert len(smoothing.tracks([both, away])) == 4, "elsewhere: other hands"
    assert len(smoothing.tracks([both, *[nobody] * 6, both])) == 4, "away for long: new tracks"
    assert len(smoothing.tracks([both, *[nobody] * 5, both])) == 2
    assert smoothing.tracks([]) == [] == smoothing.tracks([nobody])


def test_two_hands_of_one_side_keep_apart(layers):
    first, second = np.array([[-0.1, 0, 0.5], [0.1, 0, 0.5]]), np.array([[0.11, 0, 0.5], [-0.09, 0, 0.5]])
    frames = [own_pictures.prediction(layers, (0, 0), np.zeros((2, 48)), np.zeros((2, 10)), p) for p in (first, second)]
    assert {track.numbers for track in smoothing.tracks(frames)} == {(0, 1), (1, 0)}


def test_off_is_off(noisy, layers):
    same = smoothing.smooth(noisy, 30, layers, constant_shape=False)
    for one, other in zip(noisy, same, strict=True):
        assert np.abs(one.verts_cam - other.verts_cam).max() < 1e-6
        assert np.abs(one.pose_from_mean - other.pose_from_mean).max() < 1e-5
        assert np.array_equal(one.shape, other.shape) and np.array_equal(one.boxes, other.boxes)


@pytest.mark.parametrize("method", smoothing.METHODS)
def test_a_clip_has_one_shape_and_mesh_and_parameters_agree(noisy, layers, method):
    before = noisy[3].verts_cam.copy()
    made = smoothing.smooth(noisy, 30, layers, method)
    assert np.array_equal(noisy[3].verts_cam, before), "the given clip stays as it was"
    shapes = np.stack([one.shape[0] for one in made])
    assert np.ptp(shapes, axis=0).max() < 1e-12
    assert np.allclose(shapes[0], np.median([one.shape[0] for one in noisy], 0))
    for one in made[::5]:
        with torch.no_grad():
            out = layers["right"](pose=one.pose_from_mean, shape=one.shape, transl=one.transl, mean_added=False)
        assert np.abs(out["verts"].numpy() - one.verts_cam).max() < 2e-6
        off = np.linalg.norm(project(one.joints_cam[0], one.K) - one.joints_img[0], axis=-1).mean()
        assert np.isclose(one.reprojection_px[0], off, atol=1e-6)


def test_another_shape_is_placed_by_the_picture(noisy, layers):
    """The size of a hand changes its distance, and not where it is seen."""
    made = smoothing.smooth(noisy, 30, layers)
    assert np.mean([one.reprojection_px[0] for one in made]) < 0.3
    assert max(np.abs(a.transl - b.transl).max() for a, b in zip(made, noisy, strict=True)) > 1e-3


def test_jitter_falls_and_is_in_its_units(noisy, layers):
    clips = {"as predicted": noisy}
    clips |= {name: smoothing.smooth(noisy, 30, layers, name) for name in ("one_euro", "zero_lag")}
    table = smoothing.compare(clips, 30).set_index(["clip", "track"])
    seen = table["jitter_mm_per_frame2"].unstack()["all"]
    assert seen["zero_lag"] < 0.2 * seen["as predicted"] and seen["one_euro"] < 0.5 * seen["as predicted"]
    assert np.allclose(table["jitter_m_per_s2"], table["jitter_mm_per_frame2"] * 0.9)
    assert (table["frames"] == 24).all()


def test_jitter_of_a_known_motion(layers):
    one = own_pictures.prediction(layers, (0,))
    clip = [dataclasses.replace(one, joints_cam=one.joints_cam + [0, 0, 0.5 * 0.004 * frame**2]) for frame in range(5)]
    (_, _, whole, per_s2, about, _), last = smoothing.jitter(clip, 10).to_numpy().tolist()
    assert np.isclose(whole, 4) and np.isclose(per_s2, 0.4) and np.isclose(about, 0, atol=1e-9)
    assert last[0] == "all" and np.isclose(last[2], 4)
    gap = smoothing.jitter([clip[0], clip[1], own_pictures.prediction(layers, ()), clip[3]], 10)
    assert gap["jitter_mm_per_frame2"].isna().all() and gap["frames"].tolist() == [3, 3]


def test_unknown_methods_and_rates_are_refused(noisy, layers):
    with pytest.raises(InputError, match="no method 'kalman'"):
        smoothing.smooth(noisy, 30, layers, "kalman")
    with pytest.raises(InputError, match="above 0"):
        smoothing.smooth(noisy, 0, layers)
