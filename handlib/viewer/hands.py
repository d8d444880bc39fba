"""How the networks of one hand see it: heat maps and their slices, lixels, predicted distributions; and the meshes.

A `Look` is what a network answered to a few crops. ``while_training`` sets several of them side by side, ``closely``
goes into one; both draw what the method is about:

- Integral Pose: each joint's volume, seen from the front (its sum over depth) and in slices
- RLE: each joint's predicted width as an ellipse, and the density that the flow has learnt
- I2L-MeshNet: each joint's three one-dimensional heat maps ("lixels"), and the mesh vertices with their widths
"""

import dataclasses
import functools

import cv2
import numpy as np
import plotly.graph_objects as go
import torch
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.patches import Ellipse, Rectangle

from handlib import networks, render
from handlib.fields import HAND21
from handlib.training.predictions import evaluating
from handlib.viewer import figures, mesh, palette, static

TIPS = [HAND21.joints.index(f"{finger}4") for finger in palette.FINGER]
COLOURS = list(palette.FINGER.values())
_ROWS = ("thumb", "index", "little")  # whose tips have a row of pictures each
SLICES = range(8, 21, 2)  # of the 28 cells of depth, those where a hand reaches
_DRAWS = 4096  # from a flow, to see how wide it is
_ENLARGE = 2  # pixels of a drawn mesh per pixel of a crop


@dataclasses.dataclass(frozen=True)
class Look:
    """What a network answered to N crops, numpy: ``uvd`` and the truth of it (N, 21, 3), metres of depth for one unit
    of d; ``shown``: what its method is about, see `look`.
    """

    method: str
    images: np.ndarray
    uvd: np.ndarray
    truth: np.ndarray
    span: float
    shown: dict

    @property
    def size(self):
        """Width and height of the crops, pixels."""
        return np.array(self.images.shape[:1:-1])

    def depth_cm(self, d):
        """d of uvd -> cm behind the root."""
        return 100 * (np.asarray(d) - 0.5) * self.span


def look(net, items, device="cpu"):
    """Show a network the crops of some items (`handlib.training.Crops`) -> `Look`.

    ``shown``: of integral_pose ``volume`` (N, 21, 28, 28, 28), depth, row, column, sum 1; of rle ``width`` (N, 21, 3)
    in uvd, half of what 68 % of the flow's errors span, ``error`` (N, 21, 3) in sigmas, ``log_phi`` (61, 61) of the
    flow over errors ``plane`` (61,) in u and v; of i2l_meshnet ``lixels`` (N, 21, 3, 64) along x, y, z, sum 1,
    ``verts_uvd`` (N, 778, 3), ``spread`` (N, 778, 3) lixels. KeyError for other networks.
    """
    shows = _SHOWS[net.name]
    images = torch.from_numpy(np.stack([item["image"] for item in items]))
    truth = torch.from_numpy(np.stack([item["targets"]["joints_uvd"] for item in items]))
    with evaluating(net, torch.device(device)):
        out = net(images.to(device), stages=True)
        shown = {name: value.float().cpu().numpy() for name, value in shows(net, out, truth.to(device)).items()}
    uvd = out["joints_uvd"].float().cpu().numpy()
    return Look(net.name, images.numpy(), uvd, truth.numpy(), net.input.depth_span, shown)


def over_epochs(net, fitted, items, most=3, bodies=None, look=look):
    """{"untrained": `Look` of ``net``, "epoch 5": of the weights that a training left, …}: ``most`` epochs, evenly
    spaced, the last one among them. fitted: of `handlib.training.fit`; bodies: as it was trained with; look: how.
    """
    folders = sorted(path for path in (fitted.out / "checkpoints").glob("epoch_*") if path.is_dir())
    chosen = np.unique(np.linspace(-1, len(folders) - 1, most + 1).round().astype(int).clip(0)[1:])
    looks = {"untrained": look(net, items)}
    for folder in (folders[place] for place in chosen):
        looks[f"epoch {int(folder.name.split('_')[1]) + 1}"] = look(networks.load(folder, bodies=bodies), items)
    return looks


def _volumes(net, out, truth):
    return {"volume": out["heatmap3d_bcdhw"]}


def _distributions(net, out, truth):
    """The flow makes the errors' distribution narrower or wider than sigma: both count."""
    _, error = net.log_phi(out, {"joints_uvd": truth})
    drawn = net.flow(torch.randn(_DRAWS, 3, generator=torch.Generator().manual_seed(0)).to(truth.device))
    low, high = torch.quantile(drawn, torch.tensor([0.16, 0.84], device=truth.device), dim=0)
    reach = 1.1 * max(
        torch.quantile(drawn[:, :2].abs().amax(1), 0.97), torch.quantile(error[..., :2].abs().amax(-1), 0.7)
    )
    plane = reach * torch.linspace(-1, 1, 61, device=truth.device)
    v, u = torch.meshgrid(plane, plane, indexing="ij")
    log_phi = net.flow.log_prob(torch.stack([u, v, torch.zeros_like(u)], -1).flatten(0, 1)).view(u.shape)
    return {"width": out["sigma"] * (high - low) / 2, "error": error, "plane": plane, "log_phi": log_phi}


def _lixels(net, out, truth):
    joints, verts = (
        torch.stack([out[f"{head}_net.{part}"] for part in ("conv_x", "conv_y", "conv_z_2")], 2).float().softmax(-1)
        for head in ("pose", "mesh")
    )
    cells = torch.arange(verts.shape[-1], device=verts.device, dtype=verts.dtype)
    spread = (verts @ cells**2 - (verts @ cells) ** 2).clamp(min=0).sqrt()
    return {"lixels": joints, "verts_uvd": out["verts_uvd"], "spread": spread}


_SHOWS = {"integral_pose": _volumes, "rle": _distributions, "i2l_meshnet": _lixels}


# ------------------------------------------------------------------------------------------ one crop, over the training


def while_training(looks, number=0):
    """Crop ``number`` in several looks ({caption: `Look`}): above the picture as the method sees it, below the depth.

    Truth as rings and dotted lines. Integral Pose: three finger tips in a row of pictures each.
    """
    drawn = _DRAWN[next(iter(looks.values())).method]
    count, tall = len(looks), len(drawn)
    figure, panels = figures.sheet(2.6 * count, 2.5 * tall - 0.4, tall, count)
    for column, (caption, seen) in enumerate(looks.items()):
        for row, draw in enumerate(drawn[:-1]):
            figures.show_pale(panels[row, column], seen.images[number], "" if row else caption)
            draw(panels[row, column], seen, number, looks.values())
        drawn[-1](panels[-1, column], seen, number)
    limits = np.array([axes.get_ylim() for axes in panels[-1]])
    for axes in panels[-1]:
        axes.set_ylim(limits[:, 0].min(), limits[:, 1].max())
    return figure


def _layer(axes, values, colour, width, height):
    """A map of cells (rows, columns) 0..1 as more or less opaque colour; cell k lies at k / cells of the crop."""
    rows, columns = values.shape
    rgba = np.concatenate([np.broadcast_to(to_rgb(colour), (*values.shape, 3)), values[..., None]], -1)
    half = np.array([width / columns, height / rows]) / 2
    extent = (-half[0], width - half[0], height - half[1], -half[1])
    axes.imshow(rgba, extent=extent, interpolation="bilinear", zorder=2)


def _heat_map(axes, seen, number, looks, joint):
    """The sum over depth of a joint's volume."""
    place, colour = HAND21.joints.index(joint), palette.joint_colour(joint)
    fronts = [each.shown["volume"][number, place].sum(0) for each in looks]
    front = seen.shown["volume"][number, place].sum(0)
    _layer(axes, 0.75 * front / max(each.max() for each in fronts), colour, *seen.size)
    axes.scatter(*seen.uvd[number, place, :2] * seen.size, s=30, c=colour, edgecolors="white", linewidths=1, zorder=6)
    figures.rings(axes, seen.truth[number, place, None, :2] * seen.size, [colour], 0.035 * seen.size[0])


def _tips(axes, seen, number):
    places = seen.uvd[number][TIPS, :2] * seen.size
    axes.scatter(*places.T, s=26, c=COLOURS, edgecolors="white", linewidths=0.9, zorder=6)
    figures.rings(axes, seen.truth[number][TIPS, :2] * seen.size, COLOURS, 0.028 * seen.size[0])


def _depth_curves(axes, seen, number, curves):
    """Curves (5, cells) of the finger tips over depth."""
    depth = seen.depth_cm(np.arange(curves.shape[-1]) / curves.shape[-1])
    for curve, colour, truth in zip(curves, COLOURS, seen.truth[number][TIPS, 2], strict=True):
        axes.plot(depth, curve, color=colour, lw=1.6)
        axes.axvline(seen.depth_cm(truth), color=colour, lw=1.1, ls=":")
    axes.set_yticks([])
    figures.tidy(axes, "finger tips' depth", "cm behind the root")
    axes.spines["left"].set_visible(False)


def _heat_depth(axes, seen, number):
    _depth_curves(axes, seen, number, seen.shown["volume"][number][TIPS].sum((2, 3)))


def _ellipses(axes, seen, number, looks):
    colours = [palette.joint_colour(name) for name in HAND21.joints]
    places, widths = seen.uvd[number][:, :2] * seen.size, seen.shown["width"][number][:, :2] * seen.size
    for place, width, colour in zip(places, widths, colours, strict=True):
        opaque = 0.25 * min(1, 0.1 * seen.size[0] / width.max())  # many large ones lie over each other
        axes.add_patch(Ellipse(place, *(2 * width), fc=colour, alpha=opaque, lw=0, zorder=2))
        axes.add_patch(Ellipse(place, *(2 * width), fill=False, ec=colour, lw=1.0, zorder=3))
    axes.scatter(*places.T, s=10, c=colours, edgecolors="white", linewidths=0.5, zorder=6)
    figures.rings(axes, seen.truth[number][:, :2] * seen.size, colours, 0.018 * seen.size[0])


def _depth_bars(axes, seen, number):
    colours = [palette.joint_colour(name) for name in HAND21.joints]
    depth, truth = (seen.depth_cm(uvd[number][:, 2]) for uvd in (seen.uvd, seen.truth))
    widths = 100 * seen.span * seen.shown["width"][number][:, 2]
    axes.errorbar(range(21), depth, widths, fmt="none", ecolor=colours, elinewidth=3, alpha=0.45)
    axes.scatter(range(21), depth, s=16, c=colours, zorder=3)
    axes.scatter(range(21), truth, s=30, facecolors="none", edgecolors=colours, linewidths=1.1, zorder=4)
    axes.set_xticks([0, *TIPS], ["wrist", *palette.FINGER], rotation=60)
    figures.tidy(axes, "depth and its width", ylabel="cm behind the root")


def _lixel_curves(axes, seen, number, looks):
    """Along the picture's columns above it, along its rows to its right."""
    along_x, along_y = seen.shown["lixels"][number][TIPS, :2].transpose(1, 0, 2)
    cells = np.arange(along_x.shape[-1]) / along_x.shape[-1]
    above, beside = axes.inset_axes([0, 1.0, 1, 0.22]), axes.inset_axes([1.0, 0, 0.22, 1])
    for x, y, colour in zip(along_x, along_y, COLOURS, strict=True):
        above.plot(cells * seen.size[0], x, color=colour, lw=1.3)
        beside.plot(y, cells * seen.size[1], color=colour, lw=1.3)
    above.set_xlim(axes.get_xlim())
    beside.set_ylim(axes.get_ylim())
    for strip in (above, beside):
        strip.set_axis_off()
    axes.set_title(axes.get_title(), fontsize=8, color=palette.INK, pad=30)
    _tips(axes, seen, number)


def _lixel_depth(axes, seen, number):
    _depth_curves(axes, seen, number, seen.shown["lixels"][number][TIPS, 2])


_DRAWN = {  # rows of pictures from above, and the row of depths
    "integral_pose": [*(functools.partial(_heat_map, joint=f"{tip}4") for tip in _ROWS), _heat_depth],
    "rle": [_ellipses, _depth_bars],
    "i2l_meshnet": [_lixel_curves, _lixel_depth],
}


# ------------------------------------------------------------------------------------------------------- one look


def closely(seen, rows=2, joint="index4"):
    """One `Look`, in more detail: slices of a joint's volume; the learnt density; the vertices and their widths.

    rows: of how many crops; joint: whose volume is cut (Integral Pose).
    """
    return _CLOSELY[seen.method](seen, min(rows, len(seen.images)), joint)


def _slices(seen, rows, joint):
    """Slices through a joint's volume, from near to far; the one in which the joint lies has a frame."""
    place = HAND21.joints.index(joint)
    colour = palette.joint_colour(joint)
    figure, panels = figures.sheet(1.55 * len(SLICES), 1.85 * rows, rows, len(SLICES))
    for number, line in enumerate(panels):
        volume, truth = seen.shown["volume"][number][place], seen.truth[number][place]
        right = SLICES[int(np.abs(np.array(SLICES) - truth[2] * len(volume)).argmin())]
        for axes, cell in zip(line, SLICES, strict=True):
            figures.show_pale(axes, seen.images[number], f"{seen.depth_cm(cell / len(volume)):+.1f} cm")
            _layer(axes, 0.85 * volume[cell] / volume.max(), colour, *seen.size)
            if cell == right:
                figures.rings(axes, [truth[:2] * seen.size], [palette.TRUTH], 0.05 * seen.size[0])
                axes.add_patch(Rectangle((-0.5, -0.5), *seen.size, fill=False, ec=palette.TRUTH, lw=4))
    words = f"{joint}: its volume in slices, cm behind the root; framed and ringed: where the joint is"
    figures.heading(figure, words)
    return figure


def _densities(seen, rows, joint):
    """What an error may be: the Laplace part that is given, the flow that is learnt, both; with the errors made.

    The loss adds the flow's log-density once for each coordinate, so three times.
    """
    plane, learnt = seen.shown["plane"], seen.shown["log_phi"]
    u, v = np.meshgrid(plane, plane)
    given = -(np.abs(u) + np.abs(v)) / np.sqrt(2)
    panels = {
        "given: Laplace": given,
        "learnt: the flow": learnt,
        "both: what the loss takes for likely": given + learnt,
    }
    figure, (places,) = figures.sheet(3.1 * len(panels), 3.5, 1, len(panels))
    colours = [palette.joint_colour(name) for name in HAND21.joints] * len(seen.images)
    errors = seen.shown["error"].reshape(-1, 3)
    for axes, (words, log_density) in zip(places, panels.items(), strict=True):
        axes.contourf(u, v, np.exp(log_density - log_density.max()), levels=12, cmap="Greys", vmax=1.6)
        axes.scatter(*errors[:, :2].T, s=14, c=colours, edgecolors="white", linewidths=0.5)
        axes.set_aspect("equal")
        axes.set_xlim(plane[[0, -1]])
        axes.set_ylim(plane[[-1, 0]])
        figures.tidy(axes, words, "error in u (sigmas)", "error in v (sigmas)")
        axes.grid(visible=False)
    beyond = (np.abs(errors[:, :2]) > plane[-1]).any(1).sum()
    words = (
        f"density of a joint's error where there is none in depth; dots: the errors, {beyond} of {len(errors)} outside"
    )
    figures.heading(figure, words)
    return figure


def _vertices(seen, rows, joint):
    """The mesh's vertices over the picture, coloured by depth, and by how wide their lixels are."""
    figure, panels = figures.sheet(6.6, 3.1 * rows, rows, 2)
    spread = seen.shown["spread"].mean(-1)
    for number, line in enumerate(panels):
        verts = seen.shown["verts_uvd"][number]
        for axes, values, words in (
            (line[0], seen.depth_cm(verts[:, 2]), "cm behind the root"),
            (line[1], spread[number], "mean width of its lixels (cells)"),
        ):
            figures.show_pale(axes, seen.images[number], "")
            shown = axes.scatter(*(verts[:, :2] * seen.size).T, s=4, c=values, cmap="viridis", zorder=3)
            bar = figure.colorbar(shown, ax=axes, shrink=0.75, pad=0.02)
            bar.set_label(words, fontsize=8)
            bar.ax.tick_params(labelsize=7)
            bar.outline.set_visible(False)
    return figure


_CLOSELY = {"integral_pose": _slices, "rle": _densities, "i2l_meshnet": _vertices}


# ------------------------------------------------------------------------------------------------------- meshes


def meshes_over_images(items, verts, faces, captions=None, columns=4, tile=2.6, K=None):
    """Meshes over their crops, each picture beside itself with its mesh; see `overlays`."""
    pictures = [picture for pair in overlays(items, verts, faces, K) for picture in pair]
    captions = [""] * len(items) if captions is None else captions
    return figures.gallery(pictures, [words for caption in captions for words in (caption, "")], columns, tile)


def overlays(items, verts, faces, K=None, enlarged=_ENLARGE):
    """The pictures of some crops, ``enlarged`` times, without and with their meshes: a pair of each, uint8 (h, w, 3).

    items: of `handlib.training.Crops`, unaugmented; verts (N, V, 3) m, camera frame; faces (F, 3); K (N, 3, 3) of the
    crops, None: their targets have it.
    """
    pairs = []
    cameras = [item["targets"]["K"] for item in items] if K is None else K
    for item, points, camera in zip(items, np.asarray(verts, float), cameras, strict=True):
        plain = cv2.resize(
            figures.picture(item["image"]), None, fx=enlarged, fy=enlarged, interpolation=cv2.INTER_CUBIC
        )
        K = np.asarray(camera, float) * [[enlarged], [enlarged], [1]]
        K[:2, 2] += (enlarged - 1) / 2
        shown = render.Mesh(*render.seal(points, faces), colours=palette.lit("right"))
        pairs.append((plain, render.overlay(plain, [shown], K)))
    return pairs


def in_3d(verts, truth, faces, title=""):
    """A mesh coloured by its distance to the true one, which is laid over it; a plotly figure that turns.

    verts, truth (V, 3) m, camera frame. `in_3d_static` is its twin.
    """
    errors = 1000 * np.linalg.norm(verts - truth, axis=-1)
    hand, true = (_hand(points, faces) for points in (verts, truth))
    solid = mesh.solid_mesh(**mesh.mesh_values(hand), **mesh.coloured(hand, "error", errors))
    result = go.Figure([solid, mesh.ghost_mesh(**mesh.mesh_values(true), opacity=0.15)])
    title = dict(text=mesh.literal(_title(title, errors)), font=dict(size=13), x=0.02)
    result.update_layout(
        scene=mesh.scene(mesh.limits(np.concatenate([verts, truth]))), title=title, height=560, showlegend=False,
        margin=dict(l=0, r=0, t=48, b=0), paper_bgcolor="white", font=dict(color=palette.INK),
    )  # fmt: skip
    return result


def in_3d_static(verts, truth, faces, title=""):
    """The static twin of `in_3d`: from the camera, and from its right."""
    errors = 1000 * np.linalg.norm(verts - truth, axis=-1)
    limit = mesh.error_limit(errors)
    figure, (panels,) = figures.sheet(8.6, 4.4, 1, 2)
    scale = ScalarMappable(Normalize(0, limit), palette.ERROR_SCALE)
    colours = scale.to_rgba(errors)[:, :3]
    side = np.array([[0, 0, 1.0], [0, 1, 0], [-1, 0, 0]])
    for axes, turn, words in zip(panels, (np.eye(3), side), ("from the camera", "from its right"), strict=True):
        turned, true = verts @ turn.T, truth @ turn.T
        K, offset = static.portrait_camera(mesh.limits(np.concatenate([turned, true])))
        ghost = render.Mesh(true + offset, faces, colours=np.array(to_rgb(palette.TRUTH)))
        picture = render.overlay(static.paper(), [ghost], K, alpha=0.45, shadows=False)
        shown = render.Mesh(turned + offset, faces, colours=colours)
        figures.show_picture(axes, render.overlay(picture, [shown], K, alpha=0.9, shadows=False), words)
    bar = figure.colorbar(scale, ax=list(panels), shrink=0.6, pad=0.01)
    bar.set_label("mm", fontsize=8)
    bar.outline.set_visible(False)
    figures.heading(figure, _title(title, errors))
    return figure


def _hand(verts, faces):
    return mesh.Hand("right", np.asarray(verts, float), np.asarray(faces), np.zeros((21, 3)), np.zeros(len(faces), int))


def _title(title, errors):
    words = f"distance to the true mesh: mean {errors.mean():.1f} mm, worst {errors.max():.1f} mm"
    return f"{title} · {words}" if title else words
