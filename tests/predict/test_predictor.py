import numpy as np
import pytest
import torch
from predictor_toys import ToyMano, ToyUvd, picture

from handlib import bodies, geometry, networks, predict
from handlib.bodies import mirror
from handlib.files import InputError
from handlib.fitting import poses
from handlib.predict import Item, Predictor

BOXES, SIDES = np.array([[60.0, 40, 50, 60], [20, 30, 70, 50], [120, 70, 60, 60]]), ["right", "left", "right"]


@pytest.fixture(scope="module")
def made(predictor):
    return predictor(picture(), BOXES, SIDES)


def test_mesh_joints_and_parameters_belong_together(predictor, made):
    assert len(made) == 3 and made.side.tolist() == [0, 1, 0] and made.size == (200, 150)
    for hand, side in enumerate(SIDES):
        layer = predictor.layers[side]
        given = {name: getattr(made, name)[hand] for name in ("shape", "transl")}
        out = layer(pose=made.pose_from_mean[hand], **given, mean_added=False)
        np.testing.assert_allclose(out["verts"], made.verts_cam[hand], atol=1e-6)
        joints = bodies.joints21(out["verts"], out["joints"], "handoccnet")
        np.testing.assert_allclose(joints, made.joints_cam[hand], atol=1e-6)
        np.testing.assert_array_equal(layer.faces, made.faces(side))
    seen = geometry.project(made.joints_cam.astype(float), made.K, eps=0.0)
    off = np.linalg.norm(seen - made.joints_img, axis=-1).mean(1)
    np.testing.assert_allclose(off, made.reprojection_px, atol=1e-3)
    assert (made.reprojection_px < 3).all() and not made.doubtful.any()
    assert (made.joints_cam[..., 2] > 0.05).all() and np.isnan(made.score).all()


def test_the_wrist_is_seen_in_the_middle_of_its_box(made):
    # the toy puts it in the middle of the crop; a box's last pixel is x + w - 1, as published
    middles = BOXES[:, :2] + (BOXES[:, 2:] - 1) / 2
    np.testing.assert_allclose(made.joints_img[:, 0], middles, atol=1e-3)


def test_a_mirrored_picture_gives_the_mirrored_hands(predictor, made):
    boxes = BOXES.copy()
    boxes[:, 0] = 200 - BOXES[:, 0] - BOXES[:, 2]
    other = predictor(picture()[:, ::-1], boxes, ["left", "right", "left"])
    np.testing.assert_allclose(other.verts_cam * [-1, 1, 1], made.verts_cam, atol=1e-6)
    np.testing.assert_allclose(other.pose_from_mean, mirror.mirrored_pose(made.pose_from_mean), atol=1e-6)
    np.testing.assert_allclose(199 - other.joints_img[..., 0], made.joints_img[..., 0], atol=1e-3)


@pytest.mark.parametrize("side", ["right", "left"])
def test_meshes_are_wound_outwards(made, side):
    hand = SIDES.index(side)
    a, b, c = (made.verts_cam[hand][made.faces(side)[:, corner]] - made.verts_cam[hand].mean(0) for corner in range(3))
    assert np.einsum("fi,fi->", a, np.cross(b, c)) > 0  # six times the volume


def test_the_mirrored_layer_is_its_mirror_image():
    right = bodies.load(None, "mano_right")
    left, pose, shape = mirror.mirrored(right), 0.4 * torch.randn(2, 48), torch.randn(2, 10)
    one = right(pose=pose, shape=shape, mean_added=False)
    other = left(pose=mirror.mirrored_pose(pose), shape=shape, mean_added=False)
    torch.testing.assert_close(other["verts"] * torch.tensor([-1.0, 1, 1]), one["verts"], rtol=0, atol=1e-6)
    assert left.side == "left" and mirror.mirrored(left).side == "right" and left.is_free


def test_hands_of_many_pictures_go_through_the_network_together():
    net = ToyMano()
    predictor = Predictor(net, device="cpu", batch=4)
    items = [Item(picture(seed=n), BOXES[: n % 3], SIDES[: n % 3], name=f"{n}") for n in range(8)]
    made = list(predictor.many(items))
    assert [one.name for one in made] == [str(n) for n in range(8)] and [len(one) for one in made] == [0, 1, 2] * 2 + [
        0,
        1,
    ]
    assert net.calls == [4, 3]
    alone = predictor(items[5].image, items[5].boxes, items[5].sides)
    np.testing.assert_allclose(alone.verts_cam, made[5].verts_cam, atol=1e-6)


def test_many_is_a_stream(predictor):
    read = []

    def items():
        for number in range(40):
            read.append(number)
            yield picture(seed=1), BOXES, SIDES

    stream = predictor.many(items())
    next(stream)
    assert len(read) <= 3  # no further than a batch of hands needs


def test_what_cannot_be_used_is_refused_or_left_out(predictor, tmp_path):
    outside = [[500, 0, 20, 20], BOXES[0]]
    with pytest.raises(InputError, match="box 0.*outside"):
        predictor(picture(), outside, "right")
    with pytest.raises(InputError, match="no boxes"):
        predictor(picture())
    items = [Item(picture(), outside, "right"), Item(tmp_path / "gone.jpg", BOXES, SIDES), (picture(),)]
    first, second, third = predictor.many(items, skip=True)
    assert len(first) == 1 and first.skipped[0][0] == 0 and "outside" in first.skipped[0][1]
    assert isinstance(second, predict.Unusable) and "gone.jpg" in second.reason
    assert len(third) == 0 and third.skipped[0][0] == -1


def test_a_given_camera_is_used_and_said(predictor):
    K = geometry.intrinsics((700.0, 690.0), (90.0, 80.0))
    made = predictor(picture(), BOXES, SIDES, K=K)
    assert made.K_source == "given"
    np.testing.assert_array_equal(made.K, K)
    twice = Predictor(predictor.net, device="cpu", focal=1400)(picture(), BOXES[:1], "right")
    once = Predictor(predictor.net, device="cpu", focal=700)(picture(), BOXES[:1], "right")
    assert twice.transl[0, 2] == pytest.approx(2 * once.transl[0, 2], rel=0.1)


def test_a_detector_finds_the_boxes():
    found = Predictor(ToyMano(), device="cpu", detector=lambda image: (BOXES, [0, 1, 0], [0.5, 0.9, 0.7]))(picture())
    assert found.side.tolist() == [1, 0, 0] and found.score.tolist() == pytest.approx([0.9, 0.7, 0.5])


def test_a_hand_that_is_none_is_doubtful():
    net = ToyMano()
    net.scale.data[:] = 0  # all joints in the crop's corner
    made = Predictor(net, device="cpu")(picture(), BOXES, SIDES)
    assert made.doubtful.all() and np.isfinite(made.verts_cam).all()
    net.scale.data[:] = torch.nan
    with pytest.raises(InputError, match="joints_img"):
        Predictor(net, device="cpu")(picture(), BOXES, SIDES)


@pytest.mark.parametrize("side", ["right", "left"])
def test_uvd_becomes_a_hand_of_average_size(side):
    """A mean-shaped hand in front of a camera, as a perfect network of its crop would say it."""
    layer, K = bodies.load(None, "mano_right"), geometry.intrinsics((300.0, 310.0), (99.5, 74.5))
    pose = torch.cat(
        [torch.tensor([[0.3, -0.4, 0.2]]).double(), poses.of(layer).sample(1, torch.Generator().manual_seed(1))], 1
    )
    out = layer(pose=pose, mean_added=True, transl=torch.tensor([0.02, 0.01, 0.45]))
    joints = bodies.joints21(out["verts"], out["joints"])[0].double().numpy()
    seen_K = K.copy()
    box = [*(pixels := geometry.project(joints, K)).min(0), *np.ptp(pixels, axis=0)]
    if side == "left":  # the network is shown the mirrored picture, in which the hand is this right one
        box[0] = 199 - box[0] - box[2]
        joints[:, 0] *= -1
    sample = {"joints_cam": joints[None], "side": np.array([side == "left"]), "bbox": np.float32(box), "K": seen_K,
              "width": 200, "height": 150}  # fmt: skip
    from handlib.crops import single

    view = single.View(sample, None, ToyUvd.input, False)
    shown = view.points(joints)
    uvd = geometry.xyz_to_uvd(shown, view.K, shown[9, 2:], ToyUvd.input)
    made = Predictor(ToyUvd(uvd[None]), device="cpu")(picture(), [box], side, K=K)
    error = np.linalg.norm(made.joints_cam[0] - joints, axis=-1)
    relative = np.linalg.norm(made.joints_cam[0] - made.joints_cam[0, :1] - (joints - joints[:1]), axis=-1)
    assert relative.mean() < 0.004 and error.mean() < 0.02 and made.reprojection_px[0] < 2


def test_networks_of_other_kinds_are_refused():
    with pytest.raises(InputError, match="digit"):
        Predictor(networks.create("digit"))
    with pytest.raises(InputError, match="bodies"):
        Predictor(ToyMano(), bodies="somewhere")


def test_a_prediction_is_saved_and_read_again(made, tmp_path):
    made.save(tmp_path / "a.npz")
    again = predict.Prediction.load(tmp_path / "a.npz")
    for name in ("K", "side", "verts_cam", "pose_from_mean", "right_faces", "score"):
        np.testing.assert_array_equal(getattr(again, name), getattr(made, name))
    assert (again.name, again.size, again.K_source) == (made.name, made.size, made.K_source)
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:900])
    with pytest.raises(InputError, match="prediction"):
        predict.Prediction.load(tmp_path / "a.npz")


def test_photographs(real_data, predictor):
    """Boxes and overlays on real pictures; how good hands are is the checkpoint's business."""
    from handlib import export

    for path in sorted((real_data / "photos").glob("*.jpg")):
        shown = predict.read(path)
        made = predictor(path, [[0.3 * shown.size[0], 0.3 * shown.size[1], 90, 110]], "left")
        drawn = export.overlay(shown.image, made)
        assert made.K_source.startswith("assumed") and (drawn != shown.image).any(-1).sum() > 500
