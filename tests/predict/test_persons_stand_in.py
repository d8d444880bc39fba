"""The Predictor on published architectures with the reference's stand-in weights and bodies."""

import numpy as np
import pytest
from predictor_toys import of_crops, picture

from handlib.predict import Predictor
from handlib.verify import reference, wholebody_cases, wholebody_pose2pose


@pytest.fixture(scope="module")
def ref():
    return reference.shipped("wholebody")


def test_hand4whole_with_stand_in_weights(ref):
    """The mesh that the network itself gives, through a stand-in body."""
    facts = ref.json("hand4whole/case_a.json")
    layer = wholebody_cases.body("smplx")
    net = wholebody_cases.network(ref, "hand4whole", "hand4whole/keys_hand4whole.json", facts, layer)
    predictor, image = Predictor(net, device="cpu"), picture(320, 240)
    boxes = np.array([[60.0, 20, 80, 200]])
    made, out = predictor(image, boxes), of_crops(predictor, image, boxes)
    own = (out["verts"] - out["transl"][:, None]).numpy()
    np.testing.assert_allclose(made.verts_cam - made.transl[:, None], own, atol=2e-5)
    np.testing.assert_allclose(made.parameters["lhand_pose"], out["lhand_pose"], atol=1e-6)
    np.testing.assert_allclose(made.expression, out["expr"], atol=1e-6)


def test_hand_only_pose2pose_is_a_network_of_one_hand(ref):
    """A left one, which it is shown mirrored."""
    net = wholebody_pose2pose.network(ref, "hand_a", ref.json("pose2pose/case_hand_a.json"))
    predictor, image, mirror = Predictor(net, device="cpu"), picture(), np.array([-1, 1, 1])
    made = predictor(image, [[60.0, 40, 50, 60]], "left")
    out = of_crops(predictor, np.ascontiguousarray(image[:, ::-1]), [[200 - 60 - 50, 40, 50, 60]])
    own = (out["verts"] - out["transl"][:, None]).numpy()[0] * mirror
    np.testing.assert_allclose(made.verts_cam[0] - made.transl[0], own, atol=2e-5)
    relative = made.joints_cam[0] - made.joints_cam[0, :1]
    np.testing.assert_allclose(relative, out["joints"][0].numpy() * mirror, atol=2e-5)
    given = {"pose": made.pose_from_mean[0], "shape": made.shape[0], "transl": made.transl[0]}
    np.testing.assert_allclose(
        predictor.layers["left"](**given, mean_added=False)["verts"], made.verts_cam[0], atol=2e-5
    )


def test_body_only_pose2pose_ends_in_smpl(ref):
    net = wholebody_pose2pose.network(ref, "body_a", ref.json("pose2pose/case_body_a.json"))
    predictor = Predictor(net, device="cpu")
    made, out = predictor(picture(), [[60.0, 20, 50, 120]]), of_crops(predictor, picture(), [[60.0, 20, 50, 120]])
    own = (out["verts"] - out["transl"][:, None]).numpy()
    np.testing.assert_allclose(made.verts_cam - made.transl[:, None], own, atol=2e-5)
    assert made.model == "smpl" and made.joints_cam.shape == (1, 45, 3) and made.joints_img.shape == (1, 25, 2)
    assert made.expression.shape == (1, 0) and np.isnan(made.face_bbox).all()
    assert set(made.parameters) == {"root_pose", "body_pose", "shape"}
