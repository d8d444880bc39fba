"""What comes from files is shown in pages and never obeyed: a sample's key, a picture's or a data set's name that holds
scripts, tags, formulas. The pages are opened in a real browser where there is one.
"""

import dataclasses
import html.parser

import chromium
import ipywidgets
import nbformat
import numpy as np
import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter

from handlib import runs, tables
from handlib.files import InputError
from handlib.viewer import browser, errors, figures, gallery, hands, mesh, overview, static, widgets

KEY = (
    "<script>window.hacked=1</script><img src=x onerror='window.hacked=2'>\"'</textarea></title></script></style>"
    "<b>bold</b><a href='javascript:window.hacked=3'>link</a> $\\frac$ $x$ [md](javascript:window.hacked=4) *a* `c` | ,"
    "{{data}}<!--<script>"
)
SHOWN = "<script>window.hacked=1</script>"  # as a reader must see it


@pytest.fixture(scope="module")
def evil(pack, pair, bare):
    return type(pack)([pair | {"key": KEY, "capture": KEY}, bare | {"key": KEY}])


@pytest.fixture(scope="module")
def pages(tmp_path_factory, evil, layers, pair):
    """{name: file} of every kind of page that handlib writes, each with `KEY` wherever a file's text goes."""
    run = runs.Run("evil", tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("run"))
    table = pd.DataFrame({"key": [KEY, "b"], KEY: [1.0, 2.0], "mpjpe_mm": [1.0, 2.0], "receipt": [KEY, "NONE"]})
    run.table("table", table)
    cases = {side: dataclasses.replace(case, name=KEY) for side, case in mesh.cases(layers).items()}
    verts = mesh.view(cases, mesh.State("right")).hand.verts
    faces = layers["right"].faces.cpu().numpy()
    shown = {
        "inspector": mesh.figure(cases, mesh.State("right")),
        "browser": browser.figure(evil, layers, browser.State(0)),
        "surface": errors.vertices(mesh.view(cases, mesh.State("right")).hand, np.zeros(len(verts)), KEY),
        "in_3d": hands.in_3d(verts, verts + 0.01, faces, KEY),
        "gallery": gallery.page(evil, layers, {KEY: [0]}, {0: pair["joints_cam"]}, {0: KEY}, KEY),
    }
    made = {name: run.figure(name, figure) for name, figure in shown.items()}
    made["table"] = run.folder / runs.TABLES / "table.html"
    made["report"] = run.folder / "report.html"
    notebook = run.folder / "report.ipynb"
    nbformat.write(_notebook([table, table.set_index(KEY), shown["inspector"], shown["browser"]]), notebook)
    runs._write_report(notebook, made["report"])
    made["words"] = run.folder / "words.html"
    made["words"].write_text(f"<!doctype html><body>{_words(run.folder)}</body>")
    return made


def _notebook(values):
    """As an executed one: what IPython shows of the values, printed text, and an error."""
    made = nbformat.v4.new_notebook()
    cell = nbformat.v4.new_code_cell("...", execution_count=1)
    for value in values:
        data, metadata = DisplayFormatter().format(value)
        cell.outputs.append(nbformat.v4.new_output("display_data", data, metadata=metadata))
    cell.outputs.append(nbformat.v4.new_output("stream", name="stdout", text=KEY))
    error = InputError(KEY, KEY, KEY, KEY)
    cell.outputs.append(nbformat.v4.new_output("error", ename="InputError", evalue=str(error), traceback=[str(error)]))
    made.cells = [cell]
    state = {"state": {"1": {"state": {"value": KEY, "description": KEY}}}, "version_major": 2, "version_minor": 0}
    made.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": state}
    return made


def _words(folder):
    """What the drawer of boxes says in HTML, of a picture and a file so named."""
    picture = np.zeros((20, 30, 3), np.uint8)
    drawer = widgets.BoxDrawer({KEY: picture}, folder / f"{KEY.replace('/', '')[:60]}.json")
    (words,) = [one for one in drawer.children if isinstance(one, ipywidgets.HTML)]
    return words.value


class Elements(html.parser.HTMLParser):
    """Collects what of a page would be the key's own: its elements, and scripts that begin as its does."""

    def __init__(self, text):
        super().__init__()
        self.found, self.inside = [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.inside, given = tag, dict(attributes)
        if given.get("src") == "x" or "onerror" in given or (given.get("href") or "").startswith("javascript:"):
            self.found.append((tag, given))

    def handle_data(self, data):
        if (self.inside == "script" and data.startswith("window.hacked")) or (self.inside == "b" and data == "bold"):
            self.found.append((self.inside, data))


def test_no_page_holds_it_as_html(pages):
    assert len(Elements(KEY).found) == 4, "the test would see it"
    for name, file in pages.items():
        assert not Elements(file.read_text()).found, name


def test_titles_of_plotly_obey_no_tag(pages, evil, layers):
    """plotly takes some tags in its texts, links among them, and typesets what stands between dollars."""
    for figure in (browser.figure(evil, layers, browser.State(0)), browser.figure(evil, layers, browser.State(1))):
        title = figure.layout.title.text
        assert "&lt;b&gt;bold" in title and "<" not in title and "$" not in title


def test_no_widget_takes_a_description_as_html(evil, layers):
    for widget in (widgets.dataset_browser(evil, layers), widgets.inspector(mesh.cases(layers))):
        inside = [widget]
        while inside:
            one = inside.pop()
            inside += getattr(one, "children", ())
            assert not getattr(one, "description_allow_html", False) and not isinstance(one, ipywidgets.HTML)


def test_plots_of_matplotlib_take_dollars_as_letters(evil, layers):
    """A formula that is none would end the drawing with an error."""
    groups = pd.DataFrame({"key": [KEY, "b"], "samples": [1, 2], "mm": [1.0, 2.0], "mm_low": 1.0, "mm_high": 2.0})
    figure, ((axes,),) = figures.sheet(3, 3)
    overview._commonest(axes, pd.Series([KEY, KEY, "b"], name=KEY))
    drawn = [static.frame(evil, layers, browser.State(0)), errors.by_group(groups, "key", "mm", KEY), figure]
    for one in drawn:
        one.canvas.draw()
    assert drawn[1].axes[0].get_title().replace(r"\$", "$") == KEY


def test_tables_for_markdown_and_latex(tmp_path):
    tables.export(pd.DataFrame({"key": [KEY]}), tmp_path, "table")
    markdown, latex = ((tmp_path / f"table.{ending}").read_text() for ending in ("md", "tex"))
    row = markdown.splitlines()[2]
    assert "<" not in row and r"\[md\](javascript" in row and r"\*a\* \`c\` \| " in row and r"\$x\$" in row
    assert r"\$\textbackslash{}frac\$" in latex and r"\{\{data\}\}" in latex
    assert pd.read_csv(tmp_path / "table.csv")["key"][0] == KEY, "CSV is for programs: it holds what there was"


def test_nothing_runs_in_a_real_browser(pages):
    chromium.required()
    with chromium.opened() as page:
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.route("http*://**", lambda route: route.abort())  # the report would ask a server for MathJax
        for name in ("browser", "gallery", "table", "report", "words"):  # a plotly page is a plotly page
            file = pages[name]
            page.goto(file.as_uri(), wait_until="load" if name != "report" else "domcontentloaded")
            if name == "gallery":
                page.click(".grid button")
                page.wait_for_selector("#view .gtitle")
            if name == "browser":
                page.wait_for_selector(".gtitle")
            page.wait_for_timeout(300)  # an image that is not there tells so later
            assert page.evaluate("window.hacked") is None, name
            links = (
                "[...document.querySelectorAll('a')].filter(a => (a.href.baseVal ?? a.href).startsWith('javascript'))"
            )
            assert page.evaluate(f"{links}.length") == 0, name
            told = page.evaluate("document.body.textContent")
            assert SHOWN.replace("/", "") in told.replace("/", ""), f"{name} does not show the key"
        assert not [url for url in asked if url.endswith("/x")], "an image of the key was asked for"
        page.set_content(KEY)
        page.wait_for_timeout(300)
        assert page.evaluate("window.hacked") in (1, 2), "the key is no danger: this test could not fail"
