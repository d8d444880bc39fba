import numpy as np
import pytest
import torch
from predictor_toys import ToyMano, ToyPerson, of_crops, picture

from handlib import bodies, geometry, networks, predict
from handlib.bodies import posing
from handlib.body_joints import SMPLX65, SMPLX137
from handlib.datasets import people
from handlib.files import InputError
from handlib.fitting.translation import translation
from handlib.predict import Item, PersonPrediction, Predictor

BOXES = np.array([[60.0, 20, 50, 120], [5, 30, 70, 110], [120, 10, 60, 130]])


@pytest.fixture(scope="module")
def made(person_predictor):
    return person_predictor(picture(), BOXES)


def _map(predictor, image, box):
    return predictor.reader.crop(image, box, 0, None)[1]


def test_the_mesh_is_the_networks_own_but_for_its_place(person_predictor, made):
    out = of_crops(person_predictor, picture(), BOXES)
    own = (out["verts"] - out["transl"][:, None]).numpy()
    np.testing.assert_allclose(made.verts_cam - made.transl[:, None], own, atol=2e-5)
    assert made.joints_cam.shape == (3, 137, 3) and made.skeleton_cam.shape == (3, 55, 3)
    relative = made.joints_cam[:, :25] - made.joints_cam[:, :1]
    np.testing.assert_allclose(relative, out["joints"][:, :25], atol=1e-5)


def test_mesh_joints_and_parameters_belong_together(person_predictor, made):
    layer = person_predictor.layers["person"]
    assert set(made.parameters) == {*layer.parts, "shape", "expression"}
    given = {name: torch.from_numpy(value) for name, value in made.parameters.items()}
    out = layer(**given, transl=torch.from_numpy(made.transl), mean_added=False, joint_set="smplx144")
    np.testing.assert_allclose(out["verts"], made.verts_cam, atol=1e-5)
    np.testing.assert_allclose(out["joints"][:, :55], made.skeleton_cam, atol=1e-5)
    np.testing.assert_allclose(posing.joints(layer, out), made.joints_cam, atol=1e-5)
    np.testing.assert_array_equal(layer.faces, made.faces_of(0))
    seen = geometry.project(made.joints_cam.astype(float), made.K)[
        :, [SMPLX137.joints.index(j) for j in SMPLX65.joints]
    ]
    off = np.linalg.norm(seen - made.joints_img, axis=-1).mean(1)
    np.testing.assert_allclose(off, made.reprojection_px, atol=1e-2)
    assert (made.reprojection_px < 8).all() and not made.doubtful.any()  # real perspective, from 3 m


def test_in_front_of_the_networks_own_camera_its_place_is_the_networks(person_predictor):
    image, spec = picture(640, 480), person_predictor.net.input
    box = np.array([200.0, 60, 150, 380])
    view = type("Picture", (), {"width": 640, "height": 480})
    K = people.virtual_camera(box, view, spec=spec)
    one = person_predictor(image, [box], K=K)
    out = of_crops(person_predictor, image, [box])
    np.testing.assert_allclose(one.transl, out["transl"], rtol=2e-4, atol=2e-5)
    crop = geometry.apply_affine(one.joints_img[0], geometry.invert_affine(_map(person_predictor, image, box)))
    np.testing.assert_allclose(crop / [96 / 6, 128 / 8], out["joints_proj"][0, :65], atol=1e-3)
    assert one.reprojection_px[0] < 0.01


def test_a_person_comes_back_to_where_they_stood(person_predictor):
    """Someone before a known camera, as a network of their crop would say it that sees everything."""
    layer, K = person_predictor.layers["person"], geometry.intrinsics((700.0, 700.0), (319.5, 239.5))
    pose = {"root_pose": torch.tensor([[np.pi, 0.2, 0.0]]).float()}
    there = torch.tensor([[0.9, -0.3, 5.0]])
    true = layer(**pose, transl=there, mean_added=False, joint_set="smplx137")["joints"].double()
    pixels = geometry.project(true.numpy(), K)[0]
    low, high = pixels.min(0), pixels.max(0)
    box = np.concatenate([low, high - low])
    inverse = person_predictor.reader.crop(picture(640, 480), box, 0, K)[1]
    virtual_px = geometry.apply_affine(pixels, geometry.invert_affine(inverse)) * 2
    camera = geometry.intrinsics((5000.0, 5000.0), (96.0, 128.0))
    transl = translation(true - there[:, None], virtual_px[None], camera)[0]
    spec, zero = person_predictor.net.input, torch.zeros(1, 10)
    cells = torch.from_numpy(virtual_px[None, :65] / [192 / 6, 256 / 8])
    out = pose | {"shape": zero, "expr": zero, "transl": transl.float(), "joints_img": cells}
    K = torch.from_numpy(K[None])
    made = person_predictor.reader.placed(
        person_predictor.reader.read(out, torch.from_numpy(inverse[None]), None, K), K
    )
    assert spec.size == (96, 128) and (made["transl"] - there).abs().max() < 0.1
    assert made["reprojection_px"] < 3 and torch.isnan(made["lhand_bbox"]).all()


def test_boxes_of_hands_and_face_are_in_the_picture(person_predictor, made):
    inverse = person_predictor.reader.crop(picture(), BOXES[1], 0, None)[1]
    x, y, w, h = made.rhand_bbox[1]
    np.testing.assert_allclose([x, y], inverse[:, :2] @ [40, 20] + inverse[:, 2], atol=1e-3)
    np.testing.assert_allclose([w, h], inverse[[0, 1], [0, 1]] * 30, atol=1e-3)


def test_the_crop_is_the_one_that_is_trained_on(person_predictor):
    image, box = picture(640, 480), [200.4, 60.2, 150, 380]
    sample = {"image": image, "width": 640, "height": 480, "bbox": np.float64(box), "bbox_final": False, "key": "a"}
    from handlib.crops import mano
    from handlib.crops.person import NO_AUGMENTATION, View

    view = View(sample | {"bbox_whole": False}, NO_AUGMENTATION, person_predictor.net.input, False)
    seen = mano.warped(*mano.source(sample, view), view.size)
    crop, inverse = person_predictor.reader.crop(image, box, 0, None)
    np.testing.assert_array_equal(crop, seen)
    np.testing.assert_array_equal(inverse, view.inverse)
    wide = Predictor(person_predictor.net, device="cpu", box_scale=2.5).reader.crop(image, box, 0, None)[1]
    np.testing.assert_allclose(wide[:, :2], 2 * inverse[:, :2], rtol=1e-6, atol=1e-9)


def test_persons_of_many_pictures_go_through_the_network_together():
    net = ToyPerson()
    predictor = Predictor(net, device="cpu", batch=4)
    items = [Item(picture(seed=n), BOXES[: n % 3], name=f"{n}") for n in range(8)]
    made = list(predictor.many(items))
    assert [len(one) for one in made] == [0, 1, 2, 0, 1, 2, 0, 1] and net.calls == [4, 3]
    assert made[0].verts_cam.shape == (0, 10475, 3) and made[0].skeleton_cam.shape == (0, 55, 3)
    alone = predictor(items[5].image, items[5].boxes)
    np.testing.assert_allclose(alone.verts_cam, made[5].verts_cam, atol=2e-5)


def test_persons_have_no_sides(person_predictor):
    with pytest.raises(InputError, match="persons have none"):
        person_predictor(picture(), BOXES, "right")
    with pytest.raises(InputError, match="persons have none"):
        predict.run(person_predictor, [picture()], "nowhere", "whole", "left", show=False)

    def hands(image):
        return BOXES, ["right"] * 3, None

    hands.subject = predict.HAND
    with pytest.raises(InputError, match="finds hands"):
        Predictor(person_predictor.net, device="cpu", detector=hands)
    with pytest.raises(InputError, match="HandOccNet's demo"):
        Predictor(person_predictor.net, device="cpu", focal="published")
    found = Predictor(person_predictor.net, device="cpu", detector=lambda image: (BOXES, None, [0.5, 0.9, 0.7]))
    assert found(picture()).score.tolist() == pytest.approx([0.9, 0.7, 0.5])


def test_a_person_that_is_none_is_doubtful():
    net = ToyPerson()
    net.scale.data[:] = 0
    made = Predictor(net, device="cpu")(picture(), BOXES)
    assert made.doubtful.all() and np.isfinite(made.verts_cam).all()


def test_a_prediction_of_persons_is_saved_and_read_again(made, tmp_path):
    made.save(tmp_path / "a.npz")
    again = predict.Prediction.load(tmp_path / "a.npz")
    assert isinstance(again, PersonPrediction) and (again.model, again.name, again.size) == ("smplx", *_words(made))
    for name in made.SHAPES:
        np.testing.assert_array_equal(getattr(again, name), getattr(made, name), err_msg=name)
    assert again.only([2, 0]).transl.tolist() == made.transl[[2, 0]].tolist()


def _words(made):
    return made.name, made.size


def test_what_needs_a_model_that_is_not_there_says_so():
    with pytest.raises(InputError, match="no free 'smpl_neutral'"):
        networks.create("pose2pose_body")
    with pytest.raises(InputError, match="pose2pose_face"):
        Predictor(networks.create("pose2pose_face"))
    assert Predictor(ToyMano(), device="cpu").subject is predict.HAND
    assert bodies.load(None, "smplx_neutral").is_free
