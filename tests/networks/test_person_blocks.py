"""Blocks of the whole-body networks: rotations in six numbers, boxes cut out, heat volumes, loss terms."""

import math

import pytest
import roma
import torch
from tolerances import assert_close

from handlib.networks.blocks import person, regions, sixd, volumes
from handlib.networks.blocks.resnet import BasicBlock, ResNet
from handlib.verify import Row, reference, wholebody_primitives


def test_operations_equal_the_published_ones():
    rows = list(wholebody_primitives.operations(reference.shipped("wholebody")))
    assert len(rows) == 22 and all(isinstance(row, Row) and row.ok for row in rows), rows


# Rotations


def test_six_numbers_are_two_columns_written_row_by_row():
    turn = roma.random_rotmat(5)
    rotvec = sixd.rotvec(turn[:, :, :2].flatten(1))
    assert_close(roma.rotvec_to_rotmat(rotvec), turn)
    assert_close(sixd.rotvec(3.0 * turn[:, :, :2].flatten(1)), rotvec)
    many = sixd.rotvec(turn[:, :, :2].reshape(1, 30))
    assert_close(many, rotvec.reshape(1, 15))


def test_no_rotation_at_all_is_half_a_turn_about_y_and_has_gradients():
    given = torch.zeros(1, 6, requires_grad=True)
    assert_close(sixd.rotvec(given)[0], torch.tensor([0.0, math.pi, 0.0]))
    same = torch.tensor([[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]], requires_grad=True)
    (sixd.rotvec(same).sum() + sixd.rotvec(given).sum()).backward()
    assert bool(torch.isfinite(same.grad).all() and torch.isfinite(given.grad).all())


def test_the_published_batch_of_three_is_another():
    given = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(sixd.rotvec(given, published=True), sixd.rotvec(given))
    assert not torch.allclose(sixd.rotvec(given[:3], published=True), sixd.rotvec(given[:3]), atol=0.1)
    assert torch.equal(sixd.rotvec(given[:3].reshape(1, 18), published=True), sixd.rotvec(given[:3], True).view(1, 9))


# Boxes


def _by_hand(picture, box, size):
    """The mean of samples, one after the other."""
    x0, y0, x1, y1 = (float(side) for side in box)
    wide, high = max(x1 - x0, 1) / size[1], max(y1 - y0, 1) / size[0]
    across, down = math.ceil(wide), math.ceil(high)
    out = torch.zeros(size)
    for i in range(size[0]):
        for j in range(size[1]):
            ys = [y0 + high * (i + (k + 0.5) / down) for k in range(down)]
            xs = [x0 + wide * (j + (k + 0.5) / across) for k in range(across)]
            out[i, j] = sum(_sample(picture, y, x) for y in ys for x in xs) / (across * down)
    return out


def _sample(picture, y, x):
    h, w = picture.shape
    if not (-1 <= y <= h and -1 <= x <= w):
        return 0.0
    y, x = min(max(y, 0), h - 1), min(max(x, 0), w - 1)
    top, left = min(int(y), h - 2), min(int(x), w - 2)
    below, right = y - top, x - left
    rows = picture[top, left : left + 2], picture[top + 1, left : left + 2]
    upper, lower = (float(row[0]) * (1 - right) + float(row[1]) * right for row in rows)
    return upper * (1 - below) + lower * below


@pytest.mark.parametrize("box", [
    (1.2, 0.7, 6.1, 5.9), (-3.0, -2.0, 30.0, 19.0), (2.0, 2.0, 2.1, 2.1), (6.5, 5.5, 9.0, 8.0), (-9.0, 1.0, -2.0, 3.0),
    (4.0, 4.0, 1.0, 2.0), (-40.0, -40.0, 60.0, 60.0),
])  # fmt: skip
def test_boxes_are_cut_out_by_their_samples(box):
    picture = torch.rand(7, 8, generator=torch.Generator().manual_seed(1))
    ours = regions.roi_align(picture[None, None], torch.tensor([box]), (3, 4))
    assert_close(ours[0, 0], _by_hand(picture, box, (3, 4)))


def test_cuts_know_their_pictures_and_send_gradient_to_them_only():
    pictures = torch.rand(2, 3, 8, 8, requires_grad=True)
    boxes = torch.tensor([[0.0, 0, 4, 4], [2.0, 2, 8, 8], [1.0, 1, 5, 6]], requires_grad=True)
    cut = regions.roi_align(pictures, boxes, (4, 4), torch.tensor([1, 0, 1]))
    alone = regions.roi_align(pictures[1:], boxes[2:], (4, 4))
    assert_close(cut[2], alone[0])
    cut[1].sum().backward()
    assert boxes.grad is None and not pictures.grad[1].any() and pictures.grad[0].any()


def test_cuts_keep_their_precision_under_autocast():
    picture, box = torch.rand(1, 3, 40, 30), torch.tensor([[2.3, 3.1, 20.7, 35.2]])
    with torch.autocast("cpu", torch.bfloat16):
        cut = regions.roi_align(picture, box, (8, 8))
    assert_close(cut, regions.roi_align(picture, box, (8, 8)))


def test_a_box_grows_to_its_aspect():
    box = regions.around(torch.tensor([[10.0, 20.0]]), torch.tensor([[4.0, 2.0]]), 0.5, 1.5)
    assert_close(box, torch.tensor([[7.0, 14.0, 13.0, 26.0]]))


def test_places_go_into_a_box_and_back():
    places, box = torch.rand(2, 5, 3) * 8, torch.tensor([[1.0, 2, 4, 7], [0.0, 1, 6, 5]])
    moved = person.into_box(places, box, (8, 8, 6), 0.5)
    assert_close(moved[..., 2], places[..., 2] * 0.5)
    assert_close(person.out_of_box(moved, box, (8, 8, 6))[..., :2], places[..., :2])
    assert_close(person.into_box(box[:, None, 2:], box, (8, 8, 6)), torch.tensor([[[6.0, 8.0]]] * 2))


# Volumes, camera, losses


def test_places_in_a_volume_are_x_y_z():
    logits = torch.full((1, 1, 4, 5, 6), -100.0)
    logits[0, 0, 1, 2, 5] = 100
    assert_close(volumes.expected_place(volumes.volume_softmax(logits)), torch.tensor([[[5.0, 2.0, 1.0]]]))


def test_features_are_sampled_between_cells_and_zero_outside():
    features = torch.arange(12.0).reshape(1, 1, 3, 4)
    places = torch.tensor([[[1.0, 2.0], [0.5, 0.0], [-2.0, 0.0]]])
    assert_close(volumes.at_places(features, places)[0, :, 0], torch.tensor([9.0, 0.5, 0.0]))


def test_the_root_is_seen_where_the_camera_puts_it():
    transl = torch.tensor([[0.0, 0.0, 20.0]])
    cells = person.projected(torch.tensor([[[0.0, 0, 0], [0.384, 0, 0]]]), transl, (8, 8, 6))
    assert float((cells[0] - torch.tensor([[3.0, 4.0], [6.0, 4.0]])).abs().max()) < 1e-4  # cells; 0.1 mm is added
    assert_close(person.camera(torch.zeros(1, 3), 2.5, (192, 256))[0, 2], torch.tensor(12500 / math.sqrt(49152) / 2))


def test_hands_and_face_are_relative_to_their_roots():
    joints = torch.rand(1, 137, 3)
    found = person.part_relative(joints)
    for row, root in ((24, 0), (30, 12), (50, 13), (100, 7)):
        assert_close(found[0, row], joints[0, row] - joints[0, root])


def test_points_move_onto_the_visible_ones_only():
    points, truth = torch.rand(2, 4, 2), torch.rand(2, 4, 2)
    visible = torch.tensor([[1.0, 1, 0, 0], [0, 0, 0, 0]])[..., None]
    moved = person.moved_onto(points, truth, visible)
    assert_close(moved[0, :2].mean(0), truth[0, :2].mean(0))
    assert_close(moved[0] - moved[0, 0], points[0] - points[0, 0])
    assert torch.equal(moved[1], points[1])


def test_depths_count_in_3d_samples_only():
    ours, truth, valid = torch.rand(2, 3, 3), torch.rand(2, 3, 3), torch.ones(2, 3, 1)
    found = person.place_difference(ours, truth, valid, torch.tensor([1.0, 0.0]))
    assert_close(found[0], (ours - truth)[0].abs())
    assert not found[1, :, 2].any() and found[1, :, :2].all()


def test_mirrored_rotations_are_those_of_the_mirror_image():
    rotvec, mirror = torch.randn(2, 6), torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
    turned = roma.rotvec_to_rotmat(rotvec.view(2, 2, 3))
    ours = roma.rotvec_to_rotmat(person.mirrored_rotvec(rotvec).view(2, 2, 3))
    assert_close(ours, mirror @ turned @ mirror)


def test_blocks_compile_into_one_graph():
    def cut(features, centre, size, numbers):
        box = regions.around(centre, size, 1.0, 2.0)
        region = regions.roi_align(features, box, (4, 4))
        places = volumes.expected_place(volumes.volume_softmax(region[:, :, None]))
        return volumes.at_places(features, places[..., :2]), sixd.rotvec(numbers)

    given = torch.rand(2, 3, 8, 8), torch.rand(2, 2) * 8, torch.rand(2, 2) * 4, torch.randn(2, 12)
    compiled = torch.compile(cut, backend="eager", fullgraph=True)
    for ours, expected in zip(compiled(*given), cut(*given), strict=True):
        assert_close(ours, expected)


def test_resnet18_has_the_names_and_shapes_of_imagenet_files():
    with torch.device("meta"):
        net = ResNet((2, 2, 2, 2), block=BasicBlock)
    shapes = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    assert len(shapes) == 120 and sum(p.numel() for p in net.parameters()) == 11_176_512
    assert shapes["layer2.0.downsample.0.weight"] == (128, 64, 1, 1) and "layer1.0.downsample.0.weight" not in shapes
    assert [tuple(x.shape) for x in ResNet((2, 2, 2, 2), block=BasicBlock)(torch.rand(1, 3, 64, 32))][-1] == (
        1,
        512,
        2,
        1,
    )
