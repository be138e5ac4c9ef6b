"""Figures of the README are those of recorded tables."""

import importlib.util
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def readme():
    """The script that writes the README's figures."""
    path = ROOT / "benchmarks" / "readme_tables.py"
    spec = importlib.util.spec_from_file_location("readme_tables", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def recorded(readme, tmp_path, monkeypatch):
    """A copy of the recorded tables, which the script reads and writes."""
    shutil.copytree(readme.RECORDED, tmp_path / "results")
    monkeypatch.setattr(readme, "RECORDED", tmp_path / "results")
    return tmp_path / "results"


def test_the_readme_says_what_was_recorded(readme):
    text = readme.README.read_text(encoding="utf-8")
    assert readme.with_recorded(text) == text, "run python benchmarks/readme_tables.py"


def test_every_table_of_measurements_is_a_recorded_one(readme):
    text = readme.README.read_text(encoding="utf-8")
    measurements = text[text.index("## Measurements") : text.index("## Licence and citation")]
    by_hand = readme._RECORDED.sub("", measurements)
    assert not re.findall(r"^\|.*\d.*\|$", by_hand, re.MULTILINE)
    names = [found["name"] for found in readme._RECORDED.finditer(text)]
    assert {"quickstart", "quickstart_downstream", "speed"} <= set(names)
    assert set(names) == {path.stem for path in readme.RECORDED.glob("*.csv")}


@pytest.mark.parametrize("name", ["quickstart", "gst", "speed"])
def test_another_record_is_another_readme(readme, recorded, name):
    text = readme.README.read_text(encoding="utf-8")
    path = recorded / f"{name}.csv"
    table = pd.read_csv(path)
    table["parameters"] += 1000
    table.to_csv(path, index=False)
    assert readme.with_recorded(text) != text


def test_single_figures_follow_their_table(readme, recorded):
    pd.DataFrame({"model": ["a", "b"], "cost [s]": [3.0, 1.5]}).to_csv(
        recorded / "made.csv", index=False
    )
    ratio = "<!-- value: made | model=a / model=b | cost [s] | .1f -->?<!-- value: end -->"
    plain = "<!-- value: made | model=b | cost [s] -->9<!-- value: end -->"
    found = readme.with_recorded(f"{ratio} times, {plain} s")
    assert re.sub(r"<!--.*?-->", "", found) == "2.0 times, 1.5 s"
    with pytest.raises(SystemExit, match="0 rows are 'model=c'"):
        readme.with_recorded(plain.replace("model=b", "model=c"))


def test_a_study_is_recorded(readme, recorded, tmp_path):
    from study_samples import make_config, write_study

    from irrepress.report.page import write_report

    config = make_config()
    write_report(write_study(tmp_path, config), config, tmp_path / "report")
    readme.record_study(tmp_path / "report")
    models = pd.read_csv(recorded / "quickstart.csv").set_index("model")
    assert (models.loc["parent", "time"] == 1).all()
    assert (models.loc["taylor-0.50, recovered", "forces [meV/Å]"] > 0).all()
    tasks = pd.read_csv(recorded / "quickstart_downstream.csv").set_index("dataset")
    assert (tasks.loc["silicon", "energy scratch [meV/atom]"] == 20).any()
    assert (tasks.loc["mean", "energy reduced by [%]"] > 0).all()
    block = "<!-- recorded: quickstart -->\n<!-- recorded: end -->"
    assert readme.with_recorded(block).count("taylor-0.50, recovered") > 0
