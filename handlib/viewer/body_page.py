"""The inspector of whole bodies as one HTML file, a gallery where the persons have pictures: a click on one shows the
person; what is compared, parts and truth are switched without Python.

Meshes are swapped in one scene; vertices and errors are kept in tenths of a millimetre, and all of it compressed: a
person takes half a megabyte, plotly.js two, once.
"""

import base64
import dataclasses
import json
from html import escape

import cv2
import numpy as np
from plotly.offline import get_plotlyjs

from handlib.viewer import body, errors, gallery, mesh, palette

COMPARED = {  # what the menu offers: (fit, apart)
    "MPVPE: pelvis together": (False, False),
    "MPVPE: each part for itself": (False, True),
    "PA-MPVPE: whole body": (True, False),
    "PA-MPVPE: each part for itself": (True, True),
}
HIGH = 220  # pixels of a thumbnail
_STEP = 10  # a millimetre in units of what is kept


def page(cases, whole, title, state=None):
    """-> `gallery.Page`. cases, whole, state: as of `handlib.viewer.body`; title: of the page."""
    state = state or body.State()
    shown = body.figure(cases, whole, dataclasses.replace(state, colour="error"))
    layout = json.loads(shown.to_json())["layout"]
    layout |= {"height": None, "autosize": True, "title": None, "margin": dict(l=0, r=0, t=0, b=0)}
    data = {
        "cases": [_case(case, whole) for case in cases],
        "compared": list(COMPARED),
        "kind": list(COMPARED.values()).index((state.fit, state.apart)),
        "number": state.number,
        "shown": list(state.shown),
        "truth": state.truth,
        "pieces": {
            part: {"rows": _coded(rows, "<u2"), "faces": _coded(faces.T, "<u2")}
            for part, (rows, faces) in whole.pieces.items()
        },  # fmt: skip
        "tones": {colour: body.tones(colour) for colour in ("parts", "skin")},
        "right": _coded(whole.ids["rhand"], "<u2"),
        "scale": json.loads(shown.to_json())["data"][0]["colorscale"],
        "look": _look(),
        "limits": errors._LIMITS_MM,
        "layout": layout,
    }
    return gallery.Page(
        _PAGE.replace("{{title}}", escape(title))
        .replace("{{plotly}}", gallery._packed(get_plotlyjs()))
        .replace("{{data}}", gallery._packed(json.dumps(data)))
    )


def _case(case, whole):
    """A person: what is drawn of it for every entry of `COMPARED`."""
    truth = np.asarray(case.truth, float)
    middle, kinds = 1000 * (truth.min(0) + truth.max(0)) / 2, []
    for fit, apart in COMPARED.values():
        seen = body.compared(case, whole, fit)
        points, mm = (seen.apart, seen.apart_mm) if apart else (seen.whole, seen.whole_mm)
        words = body.words(case, seen.means, body.State(fit=fit, apart=apart))[1]
        kinds.append({"words": words, "points": _places(points, middle), "errors": _short(mm)})
    picture = None if case.picture is None else gallery._data_uri(_thumbnail(case.picture))
    return {
        "name": case.name,
        "picture": picture,
        "kinds": kinds,
        "middle": middle.tolist(),
        "truth": _places(truth, middle),
    }


def _thumbnail(picture):
    scale = HIGH / len(picture)
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _places(points, middle):
    """(V, 3) m -> tenths of a millimetre from ``middle`` (mm), x then y then z."""
    return _coded(np.clip((_STEP * (1000 * points - middle)).round().T, -(2**15), 2**15 - 1), "<i2")


def _short(mm):
    return _coded(np.minimum(_STEP * mm, 2**16 - 1).round(), "<u2")


def _coded(array, kind):
    return base64.b64encode(np.ascontiguousarray(array).astype(kind).tobytes()).decode()


def _look():
    """How a mesh is lit, and how the truth looks."""
    light = dict(lighting=mesh.LIGHT, lightposition=mesh.LIGHT_PLACE, flatshading=False, hoverinfo="skip")
    return {"mesh": light, "truth": light | {"color": palette.TRUTH}}


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{title}}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
html, body { height: 100%; margin: 0; }
body { display: flex; flex-direction: column; color: #2b2d31; background: #fff;
  font: 14px/1.45 -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
header { display: flex; flex-wrap: wrap; gap: .35rem 1.1rem; align-items: center; padding: .6rem 1rem .2rem; }
h1 { font-size: 1.05rem; font-weight: 600; margin: 0; }
p { margin: 0; padding: 0 1rem .4rem; color: #6b6e75; }
select { font: inherit; max-width: 26rem; }
main { flex: 1; display: flex; min-height: 0; }
nav { overflow-y: auto; padding: 0 .6rem .6rem 1rem; display: flex; flex-direction: column; gap: 8px; }
nav:empty { display: none; }
nav button { flex: none; width: 150px; padding: 0; border: 1px solid #e3e1dc; border-radius: 6px; background: #f4f3f0;
  overflow: hidden; cursor: pointer; text-align: left; font: inherit; color: inherit; }
nav button[aria-current=true], nav button:hover { box-shadow: 0 0 0 2px #2b2d31; }
nav img { display: block; width: 100%; }
nav span { display: block; padding: .25rem .45rem .35rem; font-size: 11.5px; overflow-wrap: anywhere; }
label { white-space: nowrap; cursor: pointer; }
#view { flex: 1; min-width: 0; }
</style></head>
<body>
<header><h1>{{title}}</h1>
<label>person <select id="number"></select></label>
<label>compared by <select id="kind"></select></label>
<label>colour <select id="colour"><option>error</option><option>parts</option><option>skin</option></select></label>
<label><input type="checkbox" data-part="body"> body</label>
<label><input type="checkbox" data-part="hands"> hands</label>
<label><input type="checkbox" data-part="face"> face</label>
<label><input type="checkbox" id="truth"> true mesh</label></header>
<p id="words"></p>
<main><nav></nav><div id="view"></div></main>
<script type="text/plain" id="plotly">{{plotly}}</script>
<script type="text/plain" id="data">{{data}}</script>
<script>
"use strict";
const part = id => document.getElementById(id), kinds = {"<u2": Uint16Array, "<i2": Int16Array};
const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
const numbers = (text, kind) => new kinds[kind](bytes(text).buffer);
async function unpacked(id) {
  const packed = new Blob([bytes(part(id).textContent)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(packed).text();
}
const thirds = all => [0, 1, 2].map(axis => all.subarray(axis * all.length / 3, (axis + 1) * all.length / 3));
const picked = (all, rows) => Float32Array.from(rows, row => all[row]);
function points(text, middle) {
  return thirds(numbers(text, "<i2")).map((axis, d) => Float32Array.from(axis, value => value / 10 + middle[d]));
}
const larger = (one, other) => Math.max(one, other), smaller = (one, other) => Math.min(one, other);
function around(clouds) {  // as handlib.viewer.mesh.limits
  const end = (d, pick) => clouds.map(cloud => cloud[d].reduce(pick)).reduce(pick);
  const ends = [0, 1, 2].map(d => [end(d, smaller), end(d, larger)]);
  const half = 25 * Math.ceil(1.05 * Math.max(...ends.map(([low, high]) => (high - low) / 2)) / 25);
  return ends.map(([low, high]) => [(low + high) / 2 - half, (low + high) / 2 + half]);
}
function draw(data) {
  const one = data.cases[part("number").value], kinds = one.kinds, kind = kinds[part("kind").value];
  const together = kinds[part("kind").value & 2], colour = part("colour").value, traces = [], seen = [], behind = [];
  const truth = points(one.truth, one.middle), right = new Set(numbers(data.right, "<u2"));
  for (const [name, {rows, faces}] of Object.entries(data.pieces)) {
    if (!document.querySelector(`[data-part=${name}]`).checked) continue;
    const own = numbers(rows, "<u2"), [i, j, k] = thirds(numbers(faces, "<u2"));
    const from = name === "body" ? together : kind, tones = (data.tones[colour] || {})[name];
    const [x, y, z] = points(from.points, one.middle).map(axis => picked(axis, own));
    const there = truth.map(axis => picked(axis, own));
    seen.push([x, y, z], there);
    const shade = tones
      ? {intensity: Float32Array.from(own, row => right.has(row)), cmin: 0, cmax: 1, showscale: false,
         colorscale: [[0, tones[0]], [1, tones[1]]]}
      : {intensity: picked(numbers(from.errors, "<u2"), own).map(value => value / 10), cmin: 0, colorscale: data.scale,
         showscale: !traces.length,
         colorbar: {title: {text: "mm", side: "top"}, thickness: 14, len: 0.6, outlinewidth: 0}};
    traces.push({type: "mesh3d", name, x, y, z, i, j, k, ...shade, ...data.look.mesh});
    const opacity = colour === "error" ? 0.18 : 0.4;
    behind.push({type: "mesh3d", name: "true " + name, x: there[0], y: there[1], z: there[2], i, j, k, opacity,
                 ...data.look.truth});
  }
  const worst = traces.reduce((most, trace) => trace.intensity ? trace.intensity.reduce(larger, most) : most, 0);
  const top = data.limits.find(limit => limit >= worst) || worst;
  if (colour === "error") traces.forEach(trace => { if (trace.intensity) trace.cmax = top; });
  if (part("truth").checked) traces.push(...behind);
  const layout = structuredClone(data.layout), cube = around(seen.length ? seen : [truth]);
  "xyz".split("").forEach((axis, d) => { layout.scene[axis + "axis"].range = cube[d]; });
  layout.uirevision = layout.scene.uirevision = "keep";
  part("words").textContent = kind.words;
  document.querySelectorAll("nav button").forEach((button, number) => {
    button.setAttribute("aria-current", number === Number(part("number").value));
  });
  return Plotly.react(part("view"), traces, layout, {responsive: true, displaylogo: false});
}
(async () => {
  const [code, text] = await Promise.all([unpacked("plotly"), unpacked("data")]);
  const script = document.createElement("script");
  script.textContent = code;
  document.head.append(script);
  const data = JSON.parse(text);
  data.cases.forEach((one, number) => part("number").add(new Option(one.name, number)));
  if (data.cases.every(one => one.picture)) data.cases.forEach((one, number) => {
    const button = document.createElement("button"), image = new Image(), words = document.createElement("span");
    image.src = one.picture;
    image.alt = "";
    words.textContent = one.name;
    button.append(image, words);
    button.onclick = () => { part("number").value = number; draw(data); };
    document.querySelector("nav").append(button);
  });
  data.compared.forEach((words, number) => part("kind").add(new Option(words, number)));
  part("number").value = data.number;
  part("kind").value = data.kind;
  part("truth").checked = data.truth;
  document.querySelectorAll("[data-part]").forEach(box => { box.checked = data.shown.includes(box.dataset.part); });
  document.querySelectorAll("select, input").forEach(control => { control.onchange = () => draw(data); });
  await draw(data);
})();
</script>
</body></html>
"""
