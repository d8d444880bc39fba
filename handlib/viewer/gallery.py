"""A gallery of frames as one HTML file: thumbnails with prediction and truth; a click opens the frame in the inspector.

The inspector is `handlib.viewer.browser`'s figure of the frame, with the predicted hands laid over. The file holds all
it needs, compressed (two megabytes of it are plotly.js), and opens without a network.
"""

import base64
import gzip
import json
from html import escape

import cv2
import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from handlib.fields import HAND21
from handlib.geometry import project
from handlib.viewer import browser, mesh, palette

THUMBNAIL = 280  # pixels
_AROUND = 1.35  # sides of the thumbnail in sides of the box


class Page:
    """The gallery's page: ``text``; ``write_html(path)`` as plotly figures have it, so that ``Run.figure`` takes it."""

    def __init__(self, text):
        self.text = text

    def write_html(self, path, **ignored):
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.text)


def page(pack, layers, sections, predicted, captions, title):
    """The gallery of some frames -> `Page`.

    Arguments:
        pack, layers: as `handlib.viewer.browser` takes them.
        sections: {heading: places in the pack}, such as the worst and the best (`handlib.analysis.extremes`).
        predicted: {place: (H, 21, 3)} predicted joints in metres in the camera frame, HAND21, hands as the pack has
            them; a joint that is NaN is not drawn.
        captions: {place: words}.

    Raises KeyError when a frame lacks prediction or caption.
    """
    order = [int(place) for places in sections.values() for place in places]
    drawn = {place: _drawn(pack, layers, place, np.asarray(predicted[place], float)) for place in dict.fromkeys(order)}
    parts, number = [], 0
    for heading, places in sections.items():
        tiles = []
        for place in map(int, places):
            words = escape(captions[place])
            tiles.append(f'<button data-n="{number}"><img src="{drawn[place][0]}" alt=""><span>{words}</span></button>')
            number += 1
        parts.append(f'<h2>{escape(heading)}</h2>\n<div class="grid">\n' + "\n".join(tiles) + "\n</div>")
    data = {"order": order, "words": [captions[place] for place in order]}
    data["figures"] = {place: json.loads(figure.to_json()) for place, (_, figure) in drawn.items()}
    return Page(
        _PAGE.replace("{{title}}", escape(title))
        .replace("{{truth}}", palette.TRUTH)
        .replace("{{prediction}}", palette.PREDICTION)
        .replace("{{sections}}", "\n".join(parts))
        .replace("{{plotly}}", _packed(get_plotlyjs()))
        .replace("{{data}}", _packed(json.dumps(data)))
    )


def _drawn(pack, layers, place, predicted):
    """The thumbnail (a data URI) and the inspector's figure of a frame."""
    sample = browser.read(pack, layers, place)
    return _data_uri(thumbnail(sample, predicted)), inspector(pack, layers, place, predicted)


def thumbnail(sample, predicted, size=THUMBNAIL):
    """The hands' part of a sample's picture with the true and the predicted joints, uint8 (size, size, 3)."""
    x, y, w, h = sample["bbox"]
    scale = size / (_AROUND * max(w, h))
    corner = np.array([x + w / 2, y + h / 2]) - size / 2 / scale
    to_thumbnail = np.array([[scale, 0, -scale * corner[0]], [0, scale, -scale * corner[1]]])
    picture = cv2.warpAffine(sample["image"], to_thumbnail, (size, size), borderValue=(244, 243, 240))
    truth = np.where(sample["joints_valid"][..., None], sample["joints_cam"], np.nan)
    for joints, colour in ((truth, palette.TRUTH), (predicted, palette.PREDICTION)):
        for hand in joints:
            _draw(picture, (project(hand, sample["K"]) - corner) * scale, palette.rgb(colour).tolist())
    return picture


def _draw(picture, joints, colour):
    """A skeleton (21, 2) in pixels, with a dark rim; four more bits for half pixels."""
    for thick, paint in ((4, palette.rgb(palette.INK).tolist()), (2, colour)):
        for child, parent in HAND21.bones:
            ends = joints[[child, parent]]
            if np.isfinite(ends).all() and np.abs(ends).max() < 1e4:
                first, second = (tuple(np.rint(16 * end).astype(int).tolist()) for end in ends)
                cv2.line(picture, first, second, paint, thick, cv2.LINE_AA, 4)


def inspector(pack, layers, place, predicted):
    """`browser.figure` of a frame with the predicted hands (H, 21, 3) m laid over picture and scene."""
    sample = browser.read(pack, layers, place)
    figure = browser.figure(pack, layers, browser.State(frame=place, box=False))
    for trace in figure.data:
        if trace.type == "mesh3d":  # see the prediction inside
            trace.opacity = 0.45
    shown = [hand for hand in predicted if np.isfinite(hand).any()]
    for hand in shown:
        x, y = mesh.along_fingers(project(hand, sample["K"]))
        flat = dict(mode="lines+markers", line=dict(color=palette.PREDICTION, width=2), marker=dict(size=4))
        figure.add_trace(go.Scatter(x=x, y=y, connectgaps=False, hoverinfo="skip", **flat), 1, 1)
        line = dict(color=palette.PREDICTION, width=7)
        solid = go.Scatter3d(
            mesh.skeleton_values(hand), mode="lines+markers", line=line, marker=dict(color=palette.PREDICTION, size=4),
            connectgaps=False, hoverinfo="skip",
        )  # fmt: skip
        figure.add_trace(solid, 1, 2)
    cloud = browser.cloud(sample, browser.meshes(sample, layers))
    everything = np.concatenate([cloud, *(hand[np.isfinite(hand).all(-1)] for hand in shown)])
    for axis, limits in mesh.limits(everything).items():
        figure.layout.scene[f"{axis}axis"].range = limits
    figure.update_layout(height=None, autosize=True)
    return figure


def _data_uri(picture):
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()


def _packed(text):
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{title}}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { margin: 2rem auto; padding: 0 1.5rem; max-width: 1240px; color: #2b2d31; background: #fff;
  font: 14px/1.45 -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.25rem; font-weight: 600; margin: 0 0 .3rem; }
h2 { font-size: 1rem; font-weight: 600; margin: 1.6rem 0 .6rem; }
p { margin: 0; color: #6b6e75; }
i { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin: 0 .25em 0 .7em; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: 14px; }
.grid button { padding: 0; border: 1px solid #e3e1dc; border-radius: 6px; background: #f4f3f0; overflow: hidden;
  cursor: pointer; text-align: left; font: inherit; color: inherit; transition: box-shadow .15s; }
.grid button:hover, .grid button:focus-visible { box-shadow: 0 0 0 2px #2b2d31; outline: 0; }
.grid img { display: block; width: 100%; aspect-ratio: 1; object-fit: cover; }
.grid span { display: block; padding: .4rem .6rem .5rem; font-size: 12.5px; overflow-wrap: anywhere; }
dialog { width: min(1240px, 96vw); height: min(760px, 94vh); padding: 0; border: 0; border-radius: 8px;
  box-shadow: 0 12px 60px rgba(0, 0, 0, .35); overflow: hidden; }
dialog::backdrop { background: rgba(20, 22, 26, .6); }
dialog header { display: flex; gap: .6rem; align-items: center; padding: .5rem .8rem;
  border-bottom: 1px solid #ebe9e4; }
dialog header b { flex: 1; font-weight: 600; }
dialog header button { font: inherit; padding: .15rem .7rem; border: 1px solid #d5d3cd; border-radius: 5px;
  background: #fff; cursor: pointer; }
#view { height: calc(100% - 3rem); }
</style></head>
<body>
<h1>{{title}}</h1>
<p>A click opens the frame in the inspector: turn it with the mouse; arrow keys go on, Escape closes.
<i style="background:{{truth}}"></i>truth<i style="background:{{prediction}}"></i>prediction</p>
{{sections}}
<dialog id="inspector"><header><b id="words"></b><button id="before">&larr;</button><button id="after">&rarr;</button>
<button id="close">close</button></header><div id="view"></div></dialog>
<script type="text/plain" id="plotly">{{plotly}}</script>
<script type="text/plain" id="data">{{data}}</script>
<script>
"use strict";
const part = id => document.getElementById(id), dialog = part("inspector");
async function unpacked(id) {
  const bytes = Uint8Array.from(atob(part(id).textContent), letter => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}
const ready = (async () => {
  const [code, data] = await Promise.all([unpacked("plotly"), unpacked("data")]);
  const script = document.createElement("script");
  script.textContent = code;
  document.head.append(script);
  return JSON.parse(data);
})();
let now = 0;
async function show(number) {
  const data = await ready;
  now = (number + data.order.length) % data.order.length;
  const figure = data.figures[data.order[now]];
  part("words").textContent = data.words[now];
  if (!dialog.open) dialog.showModal();
  Plotly.react(part("view"), figure.data, figure.layout, {responsive: true, displaylogo: false});
}
document.querySelectorAll(".grid button").forEach(one => one.onclick = () => show(Number(one.dataset.n)));
part("before").onclick = () => show(now - 1);
part("after").onclick = () => show(now + 1);
part("close").onclick = () => dialog.close();
dialog.addEventListener("keydown", event => {
  if (event.key === "ArrowLeft") show(now - 1);
  if (event.key === "ArrowRight") show(now + 1);
});
dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });
if (location.hash.startsWith("#frame=")) show(Number(location.hash.slice(7)));
</script>
</body></html>
"""
