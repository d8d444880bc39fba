"""The static twin of the inspector of whole bodies, and the error of each vertex over many people."""

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb

from handlib import render
from handlib.viewer import body, errors, figures, mesh, palette, static

_SIDE = np.array([[0, 0, 1.0], [0, 1, 0], [-1, 0, 0]])  # seen from the camera's right
_BACK = np.diag([-1.0, 1, -1])
_CLOSE = ("lhand", "rhand", "face")
_WORDS = {"lhand": "left hand", "rhand": "right hand", "face": "face"}


def inspector(cases, whole, fit=False):
    """A row for each case: from the camera and from its right, the true mesh behind; and hands and face closely, each
    laid onto its true one for itself. Coloured by error, parts on a scale of their own. cases, whole: as of
    `handlib.viewer.body`; fit: laid on by similarities (PA).
    """
    found = [body.compared(case, whole, fit) for case in cases]
    limit = errors.round_limit(np.concatenate([seen.whole_mm for seen in found]))
    parts = np.concatenate([whole.ids[part] for part in _CLOSE])
    close = errors.round_limit(np.concatenate([seen.apart_mm[parts] for seen in found]))
    figure, panels = figures.sheet(13.6, 2.75 * len(cases) + 0.2, len(cases), 2 + len(_CLOSE))
    for line, case, seen in zip(panels, cases, found, strict=True):
        truth, colours = np.asarray(case.truth, float), _colours(seen.whole_mm / limit)
        words = ", ".join(f"{part} {value:.0f}" for part, value in seen.means.items())
        figures.show_picture(line[0], picture(seen.whole, whole.faces, colours, truth), f"{case.name}\n{words} mm")
        figures.show_picture(line[1], picture(seen.whole, whole.faces, colours, truth, _SIDE), "from the right")
        for axes, part in zip(line[2:], _CLOSE, strict=True):
            rows, faces = piece(whole, part)
            shown = picture(seen.apart[rows], faces, _colours(seen.apart_mm[rows] / close), truth[rows])
            figures.show_picture(axes, shown, f"{_WORDS[part]}: {seen.apart_mm[whole.ids[part]].mean():.0f} mm")
    bar(figure, panels[:, :2], limit, "mm, whole body")
    bar(figure, panels[:, 2:], close, "mm, each part for itself")
    figures.heading(figure, f"{body.HOW[fit]}; green behind: the true mesh")
    return figure


def piece(whole, part):
    """The vertex numbers of "lhand", "rhand" or "face" that have whole faces, and these faces."""
    inside = np.zeros(len(next(iter(whole.roots.values()))), bool)
    inside[whole.ids[part]] = True
    numbers, faces = np.unique(whole.faces[inside[whole.faces].all(1)], return_inverse=True)
    return numbers, faces.reshape(-1, 3)


def picture(verts, faces, colours, truth=None, turn=None):
    """A mesh in its colours (V, 3), before the true one; turned; uint8."""
    turn = np.eye(3) if turn is None else turn
    several = [verts @ turn.T] + ([] if truth is None else [truth @ turn.T])
    K, offset = static.portrait_camera(mesh.limits(_with_room(np.concatenate(several)), step=1))
    shown = static.paper()
    for points in several[1:]:
        ghost = render.Mesh(points + offset, faces, colours=np.array(to_rgb(palette.TRUTH)))
        shown = render.overlay(shown, [ghost], K, alpha=0.45, shadows=False)
    return render.overlay(shown, [render.Mesh(several[0] + offset, faces, colours=colours)], K, 0.92, shadows=False)


def _with_room(cloud):
    """Larger about its middle: what is near the camera shows larger than the cube's middle."""
    middle = (cloud.min(0) + cloud.max(0)) / 2
    return middle + 1.12 * (cloud - middle)


def _colours(shares):
    return colormaps[palette.ERROR_SCALE](np.clip(shares, 0, 1))[:, :3]


def bar(figure, panels, limit, words):
    """The scale of errors beside panels."""
    scale = ScalarMappable(Normalize(0, limit), palette.ERROR_SCALE)
    drawn = figure.colorbar(scale, ax=list(np.ravel(panels)), shrink=0.6, pad=0.01, aspect=30)
    drawn.set_label(words, fontsize=8)
    drawn.ax.tick_params(labelsize=7)
    drawn.outline.set_visible(False)


def vertices(layer, whole, mm, own_mm, title=""):
    """The mean error of each vertex on the mean body: mm (V,) from front and back, own_mm (V,), of hands and face laid
    on for themselves, closely. layer: SMPL-X.
    """
    verts = layer(mean_added=False)["verts"].cpu().numpy().astype(float) * [1, -1, -1]  # from y up to the camera's
    mm, own_mm = np.asarray(mm), np.asarray(own_mm)
    parts = np.concatenate([whole.ids[part] for part in _CLOSE])
    limit, close = errors.round_limit(mm), errors.round_limit(own_mm[parts])
    figure, panels = figures.sheet(13.6, 3.0, 1, 2 + len(_CLOSE))
    for axes, turn, words in zip(panels[0], (None, _BACK), ("front", "back"), strict=False):
        figures.show_picture(axes, picture(verts, whole.faces, _colours(mm / limit), turn=turn), words)
    for axes, part in zip(panels[0, 2:], _CLOSE, strict=True):
        rows, faces = piece(whole, part)
        words = f"{_WORDS[part]}: {own_mm[whole.ids[part]].mean():.0f} mm"
        figures.show_picture(axes, picture(verts[rows], faces, _colours(own_mm[rows] / close)), words)
    bar(figure, panels[:, :2], limit, "mm, whole body")
    bar(figure, panels[:, 2:], close, "mm, each part for itself")
    if title:
        figures.heading(figure, title)
    return figure
