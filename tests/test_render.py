"""The renderer against geometry worked out by other means."""

import numpy as np
import pytest
import trimesh

from handlib import bodies, render
from handlib.bodies import free
from handlib.render import Mesh

K = np.array([[100.0, 0, 20.0], [0, 100.0, 15.0], [0, 0, 1]])
SIZE = (31, 41)


def _quad(left, right, top, bottom, z=1.0):
    """A rectangle parallel to the picture; its bounds in pixels of K at depth z."""
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], float)
    verts = np.concatenate([(corners - K[:2, 2]) / 100 * z, np.full((4, 1), z)], 1)
    return verts, np.array([[0, 1, 2], [0, 2, 3]])


def _sphere(centre, radius, subdivisions=4):
    ball = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return ball.vertices + centre, ball.faces


def test_pixel_centres_decide():
    mask = render.part_mask([(*_quad(9.9, 20.1, 4.9, 9.1), np.array([7, 7]))], K, SIZE)
    expected = np.zeros(SIZE, np.uint8)
    expected[5:10, 10:21] = 7
    np.testing.assert_array_equal(mask, expected)


def test_the_nearer_surface_wins_and_label_zero_hides():
    far, near = _quad(5, 30, 5, 25, z=2.0), _quad(9.5, 20.5, 9.5, 12.5, z=1.0)
    mask = render.part_mask([(*far, [3, 3]), (*near, [5, 5])], K, SIZE)
    assert (mask[10:13, 10:21] == 5).all() and mask[8, 15] == 3 and mask[0, 0] == 0
    hidden = render.part_mask([(*far, [3, 3]), (*near, [0, 0])], K, SIZE)
    np.testing.assert_array_equal(hidden, np.where(mask == 5, 0, mask))


def test_vertex_labels_go_to_the_nearest_corner():
    verts, faces = _quad(0, 40, 0, 30)
    mask = render.part_mask([(verts, faces, np.array([1, 2, 3, 4]))], K, SIZE)
    assert [mask[1, 2], mask[1, 38], mask[29, 38], mask[29, 2]] == [1, 2, 3, 4]


def test_rays_through_vertices_and_edges_do_not_leak():
    # Every pixel centre is a vertex of this mesh, every row, column and diagonal of pixels runs along its edges.
    y, x = np.mgrid[:31, :41]
    verts = np.stack([(x - 20) / 100, (y - 15) / 100, np.ones_like(x)], -1).reshape(-1, 3) * 0.7
    a = (y * 41 + x)[:-1, :-1].ravel()
    faces = np.concatenate([np.stack([a, a + 1, a + 42], 1), np.stack([a, a + 42, a + 41], 1)])
    mask = render.part_mask([(verts, faces, np.ones(len(faces), int))], K, SIZE)
    assert mask[1:-1, 1:-1].all()


def _posed_hands(side):
    """The free hand in its demo poses, turned at random, before a camera of 128 x 128: verts, faces, camera."""
    layer = bodies.load(None, f"mano_{side}")
    camera = np.array([[500.0, 0, 63.5], [0, 500.0, 63.5], [0, 0, 1]])
    rng = np.random.default_rng(4)
    for fingers in free.demo_poses(side).values():
        pose = np.concatenate([rng.normal(0, 1.5, 3), fingers])
        verts = layer(pose=pose, mean_added=True)["verts"].numpy()
        verts, faces = render.seal(verts - verts.mean(0) + [0, 0, 1.2], layer.faces.numpy())
        yield verts.astype(np.float32), faces, camera


@pytest.mark.parametrize("side", ["right", "left"])
def test_no_holes_in_hands_of_any_pose(side):
    for verts, faces, camera in _posed_hands(side):
        mask = render.part_mask([(verts, faces, np.ones(len(faces), int))], camera, (128, 128))
        inside, possible = _covered(verts.astype(float), faces, camera, (128, 128))
        assert inside.sum() > 300
        assert mask[inside].all()
        assert not mask[~possible].any()


def _covered(verts, faces, camera, size, slack=1e-3):
    """Pixels whose centre surely lies in some projected face, and those where it may; slack in pixels."""
    points = verts @ camera.T
    points = points[:, :2] / points[:, 2:]
    corners = points[faces]
    edges = np.roll(corners, -1, 1) - corners
    turn = edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]
    start = np.floor(corners.min(1)).astype(int)
    reach = int(np.ceil((corners.max(1) - start).max())) + 1
    offset = np.stack(np.meshgrid(np.arange(reach), np.arange(reach)), -1).reshape(-1, 2)
    pixel = start[:, None] + offset  # (F, reach ** 2, 2): x, y
    away = pixel[:, :, None] - corners[:, None]
    distance = edges[:, None, :, 0] * away[..., 1] - edges[:, None, :, 1] * away[..., 0]
    distance = (np.sign(turn)[:, None, None] * distance / np.linalg.norm(edges, axis=-1)[:, None]).min(-1)
    distance[np.abs(turn) < 1e-12] = -np.inf
    found = []
    for limit in (slack, -slack):
        picture = np.zeros(size, bool)
        x, y = pixel[distance > limit].T
        picture[y, x] = True
        found.append(picture)
    return found


def test_seal_closes_the_wrist():
    layer = bodies.load(None, "mano_right")
    verts, faces = layer(pose=np.zeros(48), mean_added=True)["verts"].numpy(), layer.faces.numpy()
    (ring,) = render.boundary_loops(faces)
    closed, closed_faces = render.seal(verts, faces)
    assert closed.shape == (779, 3) and closed_faces.shape == (1538 + 16, 3)
    np.testing.assert_allclose(closed[778], verts[ring].mean(0), atol=1e-7)
    assert trimesh.Trimesh(
        closed, closed_faces, process=False
    ).is_volume  # watertight, wound outwards, of positive volume
    again = render.seal(closed, closed_faces)
    assert len(again[0]) == 779 and len(again[1]) == 1554


def test_seal_refuses_a_boundary_that_touches_itself():
    with pytest.raises(ValueError, match="two of its loops meet"):
        render.seal(np.zeros((5, 3)), np.array([[0, 1, 2], [0, 3, 4]]))


def test_depth_and_normals_of_a_ball():
    ball = _sphere([0, 0, 0.6], 0.05)
    depth = render.depth_map([ball], K, SIZE)
    normals = render.normal_map([ball], K, SIZE)
    rays = np.stack(np.meshgrid((np.arange(41) - 20) / 100, (np.arange(31) - 15) / 100), -1)
    rays = np.concatenate([rays, np.ones((*SIZE, 1))], -1)
    # |t r - c| = radius, the nearer root
    rr, rc = (rays**2).sum(-1), 0.6 * rays[..., 2]
    root = rc**2 - rr * (0.6**2 - 0.05**2)
    well_inside = root > 0.1 * root.max()
    expected = (rc - np.sqrt(np.maximum(root, 0))) / rr
    np.testing.assert_allclose(depth[well_inside], expected[well_inside], atol=2e-4)
    outward = (rays * expected[..., None] - [0, 0, 0.6]) / 0.05
    assert (normals * outward).sum(-1)[well_inside].min() > 0.999
    assert np.isinf(depth[0, 0]) and not normals[0, 0].any()


def test_coverage_is_the_area():
    angle = 0.3
    corners = np.array([[-0.1, -0.06], [0.1, -0.06], [0.1, 0.06], [-0.1, 0.06]])
    corners = corners @ [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    quad = np.concatenate([corners, np.ones((4, 1))], 1), np.array([[0, 1, 2], [0, 2, 3]])
    drawn = render.shade([quad], K, SIZE)
    assert drawn.shape == (*SIZE, 4) and drawn.dtype == np.float32
    assert drawn[..., 3].sum() == pytest.approx(20 * 12, rel=0.01)
    assert 0 < ((drawn[..., 3] > 0) & (drawn[..., 3] < 1)).sum() < 100


def test_openness_and_visibility():
    rng = np.random.default_rng(0)
    box = trimesh.creation.box(extents=(0.04, 0.04, 0.04))
    scene = render.Scene([(box.vertices, box.faces)])
    up = np.tile(np.float32([0, -1, 0]), (200, 1))
    assert render.openness(scene, np.zeros((200, 3), np.float32), up, rng).max() == 0  # inside the box
    above = np.tile(np.float32([0, -0.021, 0]), (200, 1))
    assert render.openness(scene, above, up, rng).min() == 1
    assert render.visibility(scene, above, [0, -1, 0], 0.1, rng).min() == 1
    assert render.visibility(scene, above, [0, 1, 0], 0.1, rng).max() == 0


def test_overlay_changes_only_what_it_covers():
    image = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
    ball = Mesh(*_sphere([0, 0, 0.6], 0.05), colours=np.array([0.2, 0.4, 0.9]))
    drawn = render.overlay(image, [ball], K)
    coverage = render.shade([ball], K, SIZE)[..., 3]
    np.testing.assert_array_equal(drawn[coverage == 0], image[coverage == 0])
    assert drawn[15, 20, 2] > drawn[15, 20, 0] and (drawn[coverage == 1] != image[coverage == 1]).any()
    np.testing.assert_array_equal(drawn, render.overlay(image, [ball], K))
    np.testing.assert_array_equal(render.overlay(image, [ball], K, alpha=0), image)
    with pytest.raises(ValueError, match="uint8"):
        render.overlay(image / 255, [ball], K)


def test_nothing_to_see():
    behind = _sphere([0, 0, -0.6], 0.05)
    for meshes in ([], [(*behind, np.ones(len(behind[1])))]):
        assert not render.part_mask(meshes, K, SIZE).any()
    around = _sphere([0, 0, 0], 0.3)  # the camera is inside: everything is covered
    assert render.part_mask([(*around, np.ones(len(around[1])))], K, SIZE).all()


def test_bad_meshes_are_refused():
    verts, faces = _quad(0, 10, 0, 10)
    with pytest.raises(ValueError, match="one label for each"):
        render.part_mask([(verts, faces, [1, 2, 3])], K, SIZE)
    with pytest.raises(ValueError, match="one label for each"):
        render.part_mask([(verts, faces)], K, SIZE)
    with pytest.raises(ValueError, match="0..255"):
        render.part_mask([(verts, faces, [1, 256])], K, SIZE)
    with pytest.raises(ValueError, match="NaN"):
        render.part_mask([(verts * np.nan, faces, [1, 1])], K, SIZE)
