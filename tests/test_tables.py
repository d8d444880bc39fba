import numpy as np
import pandas
import pytest

from handlib import tables
from handlib.files import InputError
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


def test_export_writes_four_files_and_nothing_else(tmp_path):
    paths = tables.export(FRAME, tmp_path / "deep" / "tables", "results")
    assert [path.name for path in paths] == ["results.csv", "results.parquet", "results.tex", "results.md"]
    assert sorted(paths) == sorted((tmp_path / "deep" / "tables").iterdir())
    pandas.testing.assert_frame_equal(pandas.read_parquet(paths[1]), FRAME)
    pandas.testing.assert_frame_equal(pandas.read_csv(paths[0]), FRAME)


def test_export_as_markdown_and_latex(tmp_path):
    _, _, tex, markdown = (path for path in tables.export(FRAME, tmp_path, "results"))
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
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", ""])
def test_export_refuses_a_name_that_is_no_file_name(tmp_path, name):
    with pytest.raises(InputError, match="plain file name"):
        tables.export(FRAME, tmp_path, name)


def test_export_refuses_two_columns_of_one_name(tmp_path):
    frame = pandas.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(InputError, match="field 'a'"):
        tables.export(frame, tmp_path, "twice")
    assert not list(tmp_path.iterdir())
