import re

import numpy as np
import pandas
import pytest

from handlib import protocols, submissions, tables, training
from handlib.files import InputError, read_json, write_json
from handlib.tables import facts
from handlib.verify import reference


def figures(**values):
    series = pandas.Series(
        {"mpjpe_all": 20.0, "mpjpe_sh": 18.0, "mpjpe_ih": 22.5, "mrrpe": 30.0, "handness_acc": 0.9} | values
    )
    series.attrs = {"protocol": "interhand", "alignment": "each hand's wrist", "options": {}}
    return series


def row(receipt=None, data="InterHand2.6M v1.0 5 fps", split="test", **values):
    return tables.result(
        figures(**values),
        method="ours",
        split=split,
        data=data,
        root_depth="RootNet",
        checkpoint="abc",
        receipt=receipt,
    )


def test_published_figures_are_the_published_ones():
    table = tables.published("interhand").set_index(["method", "split"])
    stored = reference.shipped("interhand").json("published.json")
    for split in ("val", "test"):
        ours = table.loc[("DIGIT", split)]
        for name, value in stored["digit"][split].items():
            assert ours[name if name == "handness_acc" else f"{name}_mm"] == value
    internet = stored["internet_other_sources"]
    assert table.loc[("InterNet", "test"), "mpjpe_ih_mm"] == internet[0]["mpjpe_ih"]
    assert table.loc[("InterNet", "val"), "mrrpe_mm"] == internet[1]["mrrpe"]
    assert table.loc[("InterNet (mmpose)", "val"), "mpjpe_all_mm"] == internet[2]["val"]["mpjpe_all"]
    assert (table["source"] != "not stated").all()


def systems(name):
    """A system's published.json: of the shipped reference folder, or of one beside the repository."""
    folders = (reference.SHIPPED, reference.SHIPPED.parents[2] / "shared" / "reference")
    found = [folder / name / "published.json" for folder in folders if (folder / name / "published.json").exists()]
    if not found:
        pytest.skip(f"no reference figures of {name} on this machine")
    return read_json(found[0])


def shown(protocol, method, split=None):
    table = tables.published(protocol)
    rows = table[(table["method"] == method) & ((table["split"] == split) if split else True)]
    assert len(rows) == 1, (protocol, method, split)
    return rows.iloc[0]


def equal(ours, theirs, divide_by=1):
    return np.isnan(ours) if theirs is None else ours == theirs / divide_by


QUOTED = {
    "pa_mpjpe_mm": ("xyz_al_mean3d_cm", 10), "pa_mpvpe_mm": ("mesh_al_mean3d_cm", 10), "f_5": ("f_score_5", 1),
    "f_15": ("f_score_15", 1), "f_al_5": ("f_al_score_5", 1), "f_al_15": ("f_al_score_15", 1),
    "xyz_al_auc": ("xyz_al_auc3d", 1), "mesh_al_auc": ("mesh_al_auc3d", 1), "xyz_mean3d_cm": ("xyz_mean3d_cm", 1),
    "mesh_mean3d_cm": ("mesh_mean3d_cm", 1), "auc_v": ("mesh_al_auc3d", 1), "auc_j": ("xyz_procrustes_al_auc3d", 1),
    "absolute_mm": ("absolute_mpjpe_mm", 1), "absolute_auc": ("absolute_auc", 1),
    "root_relative_mm": ("root-relative_mpjpe_mm", 1), "root_relative_auc": ("root-relative_auc", 1),
    "procrustes_mm": ("procrustes_mpjpe_mm", 1), "procrustes_auc": ("procrustes_auc", 1),
}  # fmt: skip


@pytest.mark.parametrize("protocol", ["freihand", "ho3d_v2", "ho3d_v3", "dexycb"])
def test_published_figures_of_the_hand_benchmarks(protocol):
    compared = 0
    for stored in systems("metrics")[protocol]:
        for name, value in stored.items():
            if name not in QUOTED:
                continue
            column, divide_by = QUOTED[name]
            if protocol.startswith("ho3d"):
                column = column.replace("xyz_al_mean", "xyz_procrustes_al_mean")
            methods = [stored["method"]]
            if isinstance(value, list):
                methods = [f"{one}, ResNet-18" for one in ("CMR-G", "CMR-SG", "CMR-PG")]
            for method, one in zip(methods, value if isinstance(value, list) else [value], strict=True):
                row = shown(protocol, method, stored.get("split"))
                assert equal(row[column], one, divide_by) and row["source"] == stored["source"]
                compared += 1
    assert compared > (0 if protocol == "ho3d_v3" else 20)


def test_a_papers_millimetres_are_ten_times_the_evaluators_centimetres():
    row = shown("freihand", "Hand4Whole (hand-only Pose2Pose)")
    assert row["xyz_al_mean3d_cm"] == 0.77 and row["f_al_score_5"] == 0.664 and np.isnan(row["xyz_mean3d_cm"])
    assert shown("ho3d_v2", "HandOccNet")["mesh_al_mean3d_cm"] == pytest.approx(0.88, rel=1e-12)


def test_published_figures_of_handoccnet():
    stored = systems("handoccnet")
    names = {"Hasson et al. [14]": "Hasson et al. 2019", "Hasson et al. [15]": "Hasson et al. 2020"}
    names["Liu et al."] = "Liu et al. (Semi-Hand-Object)"
    for method, (joint, mesh, f5, f15) in stored["HO3D"]["rows"].items():
        row = shown("ho3d_v2", names.get(method, method))
        ours = row[["xyz_procrustes_al_mean3d_cm", "mesh_al_mean3d_cm", "f_al_score_5", "f_al_score_15"]]
        assert ours.tolist() == pytest.approx([joint / 10, mesh / 10, f5 / 100, f15 / 100], rel=1e-12)
    for method, figures in stored["DexYCB"]["methods"].items():
        own, official = shown("dexycb_handoccnet", method, "s0"), shown("dexycb", method, "s0")
        assert (own["mpjpe_mm"], own["pa_mpjpe_mm"]) == (figures["MPJPE"], figures["PA-MPJPE"])
        assert official["root-relative_mpjpe_mm"] == figures["MPJPE"] and "without reflection" in official["alignment"]


OAKINK = [
    ("MPJPE_mm", "MeanEPE.joints_3d_mepe_m", 1000), ("PCK_AUC_0_50mm", "Hand3DPCK.auc_all", 1),
    ("MPVPE_mm", "MeanEPE2.verts_3d_mepe_m", 1000), ("PA_MPJPE_mm", "PAEval.pa_mpjpe_m", 1000),
    ("PA_MPVPE_mm", "PAEval.pa_mpvpe_mm", 1),
]  # fmt: skip


def test_published_figures_of_oakink():
    rows = systems("oakink")["rows"]
    for stored in rows:
        row = shown("oakink", stored["method"] + (" + IKNet" if stored["iknet_fit"] else ""), stored["split"])
        for figure, ours, scale in OAKINK:
            assert row[ours] * scale == pytest.approx(stored[figure], rel=1e-12)
        assert row["checkpoint"] == stored["checkpoint"]
    assert len(rows) == len(tables.published("oakink")) == 9


def test_published_figures_of_agora_fit_each_other():
    for row in systems("metrics")["agora_smplx_test_consistency"]["rows"]:
        ours = shown("agora_smplx", {"Hand4Whole": "Hand4Whole-finetuned"}.get(row["method"], row["method"]))
        assert ours["f1"] == row["f1"]
        parts = [ours[f"{part}-MVE_mm"] for part in ("fullbody", "body", "face", "lhand", "rhand")]
        assert parts == row["MVE_fb_b_f_lh_rh"]


@pytest.mark.parametrize("protocol", sorted(facts.shipped()))
def test_every_protocol_has_figures_to_show_and_a_method_to_compare_with(protocol):
    table = tables.published(protocol)
    assert facts.against(protocol) in set(table["method"])
    assert not table.duplicated(["method", "split"]).any()
    assert (table["source"] != facts.UNSTATED).all() and (table["alignment"] != facts.UNSTATED).all()
    columns = [facts.column(protocol, figure) for figure in tables.SUMMARY[protocol]]
    assert table[[name for name in columns if name in table]].notna().any(axis=None)
    if protocol != "interhand":
        assert set(table.columns) - set(facts.FACTS) <= {*columns, *FREIHAND_MORE}


FREIHAND_MORE = ("xyz_mean3d_cm", "mesh_mean3d_cm", "f_score_5", "f_score_15")


def test_published_of_an_unknown_protocol():
    with pytest.raises(InputError, match="name one of: interhand"):
        tables.published("freihands")


def test_a_row_without_receipt_is_marked():
    assert row()["receipt"].item() == tables.NO_RECEIPT
    assert row(receipt="outputs/x/receipt.json")["receipt"].item() == "outputs/x/receipt.json"


def test_a_row_carries_protocol_options_and_alignment():
    series = figures()
    series.attrs["options"] = {"wrists": False}
    made = tables.result(series, method="ours", split="test", data="demo", root_depth="ground truth").iloc[0]
    assert made["protocol"] == "interhand, wrists=False"
    assert (made["alignment"], made["root_depth"]) == ("each hand's wrist", "ground truth")
    assert made["checkpoint"] == "not stated"


def test_figures_of_unknown_making_get_no_row():
    with pytest.raises(InputError, match="by which protocol"):
        tables.result({"mpjpe_all": 1.0}, method="ours", split="test", data="demo", root_depth="RootNet")


def test_beside_published_shows_the_difference_on_the_same_split():
    table = tables.beside_published([row(), row(data="demo", split="val")])
    digit = reference.shipped("interhand").json("published.json")["digit"]
    assert table.loc[0, "mpjpe_all_mm_difference"] == pytest.approx(20 - digit["test"]["mpjpe_all"])
    assert table.loc[1, "mrrpe_mm_difference"] == pytest.approx(30 - digit["val"]["mrrpe"])
    assert table["same_data"].tolist()[:2] == [True, False]
    published = table[table["method"] == "DIGIT"]
    assert set(published["split"]) == {"val", "test"}
    assert (published["mpjpe_all_mm_difference"] == 0).all() and published["same_data"].all()
    assert np.isnan(
        table.loc[(table["method"] == "InterNet") & (table["split"] == "test"), "mrrpe_mm_difference"]
    ).all()


def test_beside_published_shows_only_the_splits_there_are():
    assert set(tables.beside_published([row()])["split"]) == {"test"}
    own_split = tables.beside_published([row(split="mine")])
    assert len(own_split) == 1 and np.isnan(own_split.loc[0, "mpjpe_all_mm_difference"])


def test_beside_published_against_another_method():
    table = tables.beside_published([row()], against="InterNet")
    assert table.loc[0, "mpjpe_sh_mm_difference"] == pytest.approx(18 - 12.16)
    with pytest.raises(InputError, match="DIGIT, InterNet"):
        tables.beside_published([row()], against="digits")


def centimetres(**options):
    series = pandas.Series({"xyz_al_mean3d": 0.7, "mesh_al_mean3d": 0.71, "f_al_score_5": 0.68, "xyz_mean3d": 70.0})
    series.attrs = {"protocol": "freihand", "alignment": "similarity", "options": options}
    return series


def test_beside_published_of_another_protocol_has_its_units_and_its_yardstick():
    row = tables.result(centimetres(), method="ours", split="evaluation", data="FreiHAND evaluation set, 3960 samples")
    table = tables.beside_published([row])
    assert table.loc[0, "xyz_al_mean3d_cm_difference"] == pytest.approx(0.7 - 0.77)
    assert table.loc[0, "f_al_score_5_difference"] == pytest.approx(0.68 - 0.664)
    assert table.loc[0, "same_data"] and "xyz_mean3d_cm" not in table and "root_depth" not in table
    assert len(table) == 1 + len(tables.published("freihand"))


def test_a_figure_of_other_options_has_no_difference():
    facts_of = {"method": "ours", "split": "evaluation", "data": "FreiHAND evaluation set, 3960 samples"}
    table = tables.beside_published([tables.result(centimetres(reflection=False), **facts_of)])
    assert table.loc[0, "protocol"] == "freihand, reflection=False"
    assert table.loc[0, "xyz_al_mean3d_cm"] == 0.7 and np.isnan(table.loc[0, "xyz_al_mean3d_cm_difference"])


@pytest.mark.parametrize("protocol", protocols.names())
def test_every_protocols_figures_can_stand_beside_the_published_ones(protocol):
    series = pandas.Series({figure: 1.0 for figure in tables.SUMMARY[protocol]})
    series.attrs = {"protocol": protocol, "alignment": "as it is", "options": {}}
    split = tables.published(protocol)["split"].iloc[0] if protocol in facts.shipped() else "test"
    table = tables.beside_published([tables.result(series, method="ours", split=split, data="demo")])
    columns = [facts.column(protocol, figure) for figure in tables.SUMMARY[protocol]]
    assert set(columns) <= set(table.columns) and (table.loc[0, columns] == 1).all()
    assert (len(table) > 1) == (protocol in facts.shipped())
    assert any(name.endswith("_difference") for name in table) == (protocol in facts.shipped())
    assert "<b>" in tables.html(table, protocol) or len(table) == 1


def test_two_protocols_in_one_table_are_each_beside_their_own():
    other = tables.result(centimetres(), method="ours", split="evaluation", data="demo")
    table = tables.beside_published([row(), other])
    ours = table[table["method"] == "ours"].set_index("protocol")
    assert np.isnan(ours.loc["freihand", "mpjpe_all_mm"]) and np.isnan(ours.loc["interhand", "xyz_al_mean3d_cm"])
    assert ours["mpjpe_all_mm_difference"].notna().tolist() == [True, False]
    assert set(table["protocol"]) == {"interhand", "freihand"}


# One's own predictions


def hands(n=6, seed=0):
    rng = np.random.default_rng(seed)
    truth = {"xyz": rng.normal(0, 0.04, (n, 21, 3)) + [0, 0, 0.6], "verts": rng.normal(0, 0.04, (n, 778, 3))}
    return {name: array + rng.normal(0, 0.005, array.shape) for name, array in truth.items()}, truth


FACTS_OF = {"protocol": "freihand", "method": "mine", "split": "evaluation", "data": "a few"}


def test_a_row_for_arrays_of_ones_own():
    predictions, truth = hands()
    made = tables.own(predictions, truth, **FACTS_OF)
    assert made["xyz_al_mean3d_cm"].item() == protocols.evaluate("freihand", predictions, truth)["xyz_al_mean3d"]
    assert made["receipt"].item() == tables.NO_RECEIPT
    rigid = tables.own(predictions, truth, options={"reflection": False}, **FACTS_OF)
    assert rigid["protocol"].item() == "freihand, reflection=False"


def test_a_row_for_a_file_of_ones_own(tmp_path):
    predictions, truth = hands()
    whole = training.Predictions(predictions, truth, np.arange(6), {"network": "mine"})
    whole.save(tmp_path / "mine.npz")
    np.savez(tmp_path / "plain.npz", **predictions)
    np.savez(tmp_path / "truth.npz", **truth)
    rows = [
        tables.own(predictions, truth, **FACTS_OF),
        tables.own(tmp_path / "mine.npz", **FACTS_OF),
        tables.own(tmp_path / "plain.npz", truth, **FACTS_OF),
        tables.own(str(tmp_path / "plain.npz"), tmp_path / "truth.npz", **FACTS_OF),
    ]
    assert len({one["xyz_al_mean3d_cm"].item() for one in rows}) == 1
    assert rows[1]["source"].item().startswith("mine.npz, sha256 ")


def test_a_row_for_a_submission_file(tmp_path):
    predictions, truth = hands()
    with pytest.warns(UserWarning, match="6 samples"):
        submissions.write("freihand", predictions, tmp_path / "pred.zip")
    made = tables.own(tmp_path / "pred.zip", truth, **FACTS_OF)
    assert made["mesh_al_mean3d_cm"].item() == protocols.evaluate("freihand", predictions, truth)["mesh_al_mean3d"]
    assert made["source"].item().startswith("pred.zip, sha256 ")
    with pytest.raises(InputError, match="no server 'oakink'"):
        tables.own(tmp_path / "pred.zip", truth, **FACTS_OF | {"protocol": "oakink"})


def test_files_of_ones_own_that_cannot_be_used(tmp_path):
    predictions, truth = hands()
    with pytest.raises(InputError, match="truth: is missing"):
        tables.own(predictions, **FACTS_OF)
    with pytest.raises(InputError, match="does not exist"):
        tables.own(tmp_path / "no.npz", truth, **FACTS_OF)
    (tmp_path / "broken.npz").write_bytes(b"PK not an archive")
    with pytest.raises(InputError, match="broken.npz"):
        tables.own(tmp_path / "broken.npz", truth, **FACTS_OF)
    np.savez(tmp_path / "objects.npz", xyz=np.array([None, {}], dtype=object))
    with pytest.raises(InputError, match="objects.npz"):
        tables.own(tmp_path / "objects.npz", truth, **FACTS_OF)


# Receipts


def receipt(folder, rows, **facts_of):
    write_json(folder / "receipt.json", {"run": folder.name, "protocol": "interhand"} | facts_of)
    if rows is not None:
        kept = read_json(folder / "receipt.json") | {"results": tables.record(rows)}
        write_json(folder / "receipt.json", kept)
    return folder / "receipt.json"


def test_collect_finds_every_run_and_its_receipt(tmp_path):
    first = receipt(tmp_path / "a" / "07", row(mpjpe_all=21.0), started="2026-01-02")
    second = receipt(tmp_path / "b" / "07", row(mpjpe_all=19.0, mrrpe=np.nan), started="2026-01-01")
    write_json(tmp_path / "b" / "01" / "receipt.json", {"run": "01"})  # a run without figures
    alone = tables.collect(tmp_path, published=False)
    assert alone["receipt"].tolist() == [str(second), str(first)]
    assert alone["mpjpe_all_mm"].tolist() == [19.0, 21.0] and np.isnan(alone["mrrpe_mm"][0])
    table = tables.collect(tmp_path)
    assert table["mpjpe_all_mm"].tolist()[:2] == [19.0, 21.0] and "DIGIT" in set(table["method"])
    pandas.testing.assert_frame_equal(tables.collect([first.parent, second]), table)


def test_a_receipt_keeps_every_figure_to_the_last_bit(tmp_path):
    rows = row(mpjpe_all=1 / 3)
    receipt(tmp_path / "07", rows, started="1")
    kept = tables.collect(tmp_path, published=False)
    figures_of = kept.columns.drop(tables.FACTS)
    pandas.testing.assert_frame_equal(kept[figures_of], rows[figures_of], check_exact=True)


def test_collect_says_what_it_did_not_find(tmp_path):
    with pytest.raises(InputError, match="holds no receipt with results"):
        tables.collect(tmp_path)
    receipt(tmp_path / "old", None, tables=["benchmark"])
    receipt(tmp_path / "new", row(), started="1")
    with pytest.warns(UserWarning, match="old/receipt.json"):
        assert len(tables.collect(tmp_path, published=False)) == 1
    (tmp_path / "new" / "receipt.json").write_text("{")
    with pytest.raises(InputError, match="not whole JSON"):
        tables.collect(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        tables.collect(tmp_path / "nowhere")


# HTML


def cells_of(page):
    body = page.split("<tbody>")[1]
    rows = re.findall(r"<tr(?: class=\"([^\"]*)\")?>(.*?)</tr>", body)
    return [(kinds, re.findall(r"<td[^>]*>(.*?)</td>", line)) for kinds, line in rows]


def test_the_page_has_units_in_the_head_and_the_best_value_bold():
    frame = pandas.DataFrame(
        {
            "method": ["a", "b <i>", "c"],
            "mpjpe_all_mm": [12.34, 11.0, np.nan],
            "auc": [0.8, 0.7, 0.8],
            "frames": [3, 4, 5],
        }
    )
    page = tables.html(frame, "A & B")
    assert "<title>A &amp; B</title>" in page and "<small>mm</small>" in page and "mpjpe all" in page
    rows = [cells for _, cells in cells_of(page)]
    assert rows[0] == ["a", "12.34", "<b>0.8</b>", "3"]
    assert rows[1] == ["b &lt;i&gt;", "<b>11.00</b>", "0.7", "4"]
    assert rows[2] == ["c", "–", "<b>0.8</b>", "5"]
    assert "http" not in page and "<script" not in page


def test_the_page_marks_rows_without_a_receipt():
    page = tables.html(tables.beside_published([row(), row(receipt="outputs/x/receipt.json")]), "table")
    kinds = [kind for kind, _ in cells_of(page)]
    assert kinds[:3] == ["own unproved", "own", "published"] and "† without a receipt" in page
    assert "†" not in tables.html(tables.beside_published([row(receipt="r")]), "table").split("</style>")[1]


def test_the_page_signs_differences_by_what_is_good():
    page = tables.html(tables.beside_published([row(mpjpe_all=1.0, handness_acc=0.5)]), "table")
    cells = cells_of(page)[0][1]
    assert '<span class="good">−11.59</span>' in cells and '<span class="bad">−0.4915</span>' in cells


def test_best_is_sought_among_rows_of_one_split_only():
    frame = pandas.DataFrame({"split": ["a", "a", "b", "b"], "error_mm": [1.0, 2.0, 3.0, 4.0]})
    rows = [cells[1] for _, cells in cells_of(tables.html(frame, "t"))]
    assert rows == ["<b>1.00</b>", "2.00", "<b>3.00</b>", "4.00"]


# Export

FRAME = pandas.DataFrame(
    {
        "method": ["a_1 & b|c", "ours"],
        "mpjpe_mm": [12.588909, np.nan],
        "acc": [0.98765432, 1.0],
        "n": [3, 4],
        "ok": [True, False],
    }
)


def test_export_writes_five_files_and_nothing_else(tmp_path):
    paths = tables.export(FRAME, tmp_path / "deep" / "tables", "results")
    assert [path.name for path in paths] == [
        "results.csv",
        "results.parquet",
        "results.tex",
        "results.md",
        "results.html",
    ]
    assert sorted(paths) == sorted((tmp_path / "deep" / "tables").iterdir())
    pandas.testing.assert_frame_equal(pandas.read_parquet(paths[1]), FRAME)
    pandas.testing.assert_frame_equal(pandas.read_csv(paths[0]), FRAME)


def test_export_as_markdown_and_latex(tmp_path):
    _, _, tex, markdown, _ = (path for path in tables.export(FRAME, tmp_path, "results"))
    assert markdown.read_text().splitlines() == [
        "| method | mpjpe_mm | acc | n | ok |",
        "| --- | ---: | ---: | ---: | --- |",
        "| a_1 & b\\|c | 12.59 | 0.9877 | 3 | True |",
        "| ours | – | 1 | 4 | False |",
    ]
    assert tex.read_text().splitlines() == [
        r"\begin{tabular}{lrrrl}",
        r"\toprule",
        r"method & mpjpe\_mm & acc & n & ok \\",
        r"\midrule",
        r"a\_1 \& b|c & 12.59 & 0.9877 & 3 & True \\",
        r"ours & -- & 1 & 4 & False \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_export_of_a_series_keeps_its_index(tmp_path):
    parquet = tables.export(figures().rename("interhand"), tmp_path, "figures")[1]
    read = pandas.read_parquet(parquet)
    assert list(read.columns) == ["figure", "interhand"] and read["figure"][0] == "mpjpe_all"


def test_export_of_paths_and_mixed_kinds(tmp_path):
    frame = pandas.DataFrame({"path": [tmp_path, None], "mixed": [1, "a"]})
    read = pandas.read_parquet(tables.export(frame, tmp_path, "mixed")[1])
    assert read["path"][0] == str(tmp_path) and read["mixed"].tolist() == ["1", "a"]


def test_export_of_the_whole_comparison(tmp_path):
    table = tables.beside_published([row()])
    pandas.testing.assert_frame_equal(pandas.read_parquet(tables.export(table, tmp_path, "table")[1]), table)


def test_a_failed_export_leaves_the_old_file(tmp_path, monkeypatch):
    old = tables.export(FRAME, tmp_path, "results")[1].read_bytes()

    def broken(frame, path, **options):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(pandas.DataFrame, "to_parquet", broken)
    with pytest.raises(OSError, match="disk full"):
        tables.export(FRAME.head(1), tmp_path, "results")
    assert (tmp_path / "results.parquet").read_bytes() == old
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", ""])
def test_export_refuses_a_name_that_is_no_file_name(tmp_path, name):
    with pytest.raises(InputError, match="plain file name"):
        tables.export(FRAME, tmp_path, name)


def test_export_refuses_two_columns_of_one_name(tmp_path):
    frame = pandas.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(InputError, match="field 'a'"):
        tables.export(frame, tmp_path, "twice")
    assert not list(tmp_path.iterdir())
