"""The tables of the datasets, as frames, as CSV files and on the page."""

import json
import re
import shutil

import pandas as pd
import pytest
from study_samples import make_config, write_study

from irrepress.report import data_tables
from irrepress.report.page import write_report


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The least that has a dataset: quick to write again; and its config."""
    absent = ("recovery", "distillation", "quantization", "downstream")
    sweep = {"criteria": ["taylor"], "budgets": [0.5], "axes": ["both"]}
    config = make_config(sweep=sweep, train_plans=[], **dict.fromkeys(absent))
    return write_study(tmp_path_factory.mktemp("small"), config), config


@pytest.fixture
def changed(small, tmp_path):
    """Return a function that writes the report after a change of the foundation's summary."""

    def report(**changes):
        study_dir, config = small
        copy = shutil.copytree(study_dir, tmp_path / "study")
        path = copy / "data" / "foundation.summary.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        write_report(copy, config, tmp_path / "report")
        return (tmp_path / "report" / "index.html").read_text(encoding="utf-8"), tmp_path / "report"

    return report


def markup(page):
    return re.sub(r"\s+", " ", re.sub(r"<(script|style)[^>]*>.*?</\1>", "", page, flags=re.DOTALL))


def test_a_row_says_what_a_dataset_holds(report_dir):
    table = pd.read_csv(report_dir / "data.csv", index_col="dataset", keep_default_na=False)
    assert list(table.index) == ["foundation", "silicon", "ethanol"]
    row = table.loc["ethanol"]
    assert (row["structures"], row["atoms"], row["elements"]) == (10, 90, 3)
    assert row["symbols"] == "H C O" and row["compositions"] == 1
    assert row[["train", "valid", "test", "in no part"]].sum() == 10
    assert (row["crystals"], row["molecules"]) == (0, 10)
    assert (row["with energy"], row["with stress"]) == (10, 0)
    assert row["labelled"] == "energy, forces" and table.loc["silicon", "labelled"] == "none"
    assert row["checksum"] == "0123456789abcdef" * 4 and row["licence"] == "CC-BY-4.0"
    assert table["suspicious"].to_dict() == {"foundation": 2, "silicon": 0, "ethanol": 0}
    assert table.loc["foundation", "used for"] == "scoring, recovery, distillation, evaluation"


def test_suspicious_structures_are_listed(report_dir):
    table = pd.read_csv(report_dir / "suspects.csv")
    assert table["kind"].tolist() == ["exploding force", "duplicate"]
    assert table["structure"].tolist() == [1, 9]
    assert table["value"].tolist() == pytest.approx([60 * 3**0.5, 3])
    assert table["unit"].tolist() == ["eV/Å", "structure"]
    assert table["reason"][0] == "103.9 eV/Å on atom 0 (Cu)"
    assert table["group"].tolist() == ["foundation-1", "foundation-3"]


def test_the_page_shows_both(report_dir):
    page = markup((report_dir / "index.html").read_text(encoding="utf-8"))
    assert 'id="table-data"' in page and 'id="table-suspects"' in page
    assert "0123456789ab<" in page  # the beginning of the checksum
    assert "a force above 50 eV/Å: <b>1 in foundation</b>" in page
    assert "a stress component above 100 GPa: <b>none</b>" in page


def test_without_suspicious_structures_the_page_says_what_was_looked_for(changed):
    page, folder = changed(suspects=[], suspicious=0)
    assert 'id="table-suspects"' not in page
    assert "There are none. Looked for were a force above 50 eV/Å; an energy" in markup(page)
    empty = pd.read_csv(folder / "suspects.csv")
    assert empty.empty and "reason" in empty.columns


def test_elements_that_the_train_part_lacks_are_named(changed, study):
    elements = [e.model_dump() for e in study.data["foundation"].summary.elements]
    for element in elements:
        element["train_structures"] = 0 if element["number"] in (13, 26) else 5
    page, _ = changed(elements=elements)
    assert re.search(r"<dt>Not in train</dt><dd>Al Fe </dd>", markup(page))


def test_texts_from_files_are_escaped(changed, study):
    (found, *_) = [s.model_dump() for s in study.data["foundation"].summary.suspects]
    found["listed"][0]["group"] = "<script>alert(1)</script>"
    page, _ = changed(suspects=[found])
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize(
    ("count", "total", "text"),
    [(0, 7, "0 %"), (7, 7, "100 %"), (1, 10**6, "0.1 %"), (10**6 - 1, 10**6, "99.9 %")],
)
def test_a_share_is_whole_only_if_it_is(count, total, text):
    assert data_tables.percentage(count, total) == text


def test_labels_of_some_structures_have_their_share(study):
    summary = study.data["ethanol"].summary
    some = summary.model_copy(update={"labelled": {"energy": 10, "forces": 9, "stress": 0}})
    assert data_tables.coverage(some) == "energy, forces on 90.0 %"


def test_the_page_says_what_was_noticed_when_a_dataset_was_read(changed):
    notes = [
        {"text": "D taken as hydrogen", "count": 1200, "first": "a.xyz: frame 3"},
        {"text": "cut off", "count": 1, "first": "b<i>.xyz"},
    ]
    page = markup(changed(notes=notes)[0])
    assert "D taken as hydrogen (1,200 times, first in a.xyz: frame 3)" in page
    assert "cut off (once, in b&lt;i&gt;.xyz)" in page
