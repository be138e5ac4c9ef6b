"""The documentation says what was recorded and what there is."""

import importlib.util
import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest
import typer
import yaml

from irrepress.catalogue.datasets.registry import PUBLISHED
from irrepress.cli.application import app
from irrepress.data.sources.prototypes import PROTOTYPES
from irrepress.study.reading import parse_config, schema

ROOT = Path(__file__).parents[1]
README, DOCS = ROOT / "README.md", ROOT / "docs"
PAGES = [README, *sorted(DOCS.rglob("*.md"))]
_FENCED = re.compile(r"^( *)```(\w+)[^\n]*\n(.*?)^\1```", re.DOTALL | re.MULTILINE)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def of_benchmarks(name: str):
    """A module of benchmarks, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def documentation():
    """The script that writes the documentation's figures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        yield of_benchmarks("documentation")


@pytest.fixture
def recorded(documentation, tmp_path, monkeypatch):
    """A copy of the recorded tables, which the script reads and writes."""
    shutil.copytree(documentation.RECORDED, tmp_path / "results")
    monkeypatch.setattr(documentation, "RECORDED", tmp_path / "results")
    return tmp_path / "results"


def test_the_readme_is_one_screen():
    assert README.stat().st_size <= 8192
    text = README.read_text(encoding="utf-8")
    assert "make quickstart" in text and "make test" in text


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_says_what_was_recorded(documentation, page):
    text = page.read_text(encoding="utf-8")
    assert documentation.with_recorded(text) == text, "run python benchmarks/documentation.py"


@pytest.fixture(params=["error-against-time", "error-against-speed"])
def picture(documentation, request):
    found = {each.name: each for each in documentation.PICTURES}
    assert set(found) == {path.stem for path in (DOCS / "assets").glob("*.svg")}
    return found[request.param]


def test_a_picture_shows_what_was_recorded(documentation, picture):
    drawn = ET.parse(picture.path).find(".//{http://purl.org/dc/elements/1.1/}description")
    table = documentation.read_table(picture.table)
    wanted = picture.description(table)
    assert drawn.text.strip() == wanted.strip(), "run python benchmarks/documentation.py"
    assert wanted.count("\n") > 6
    table[picture.error] += 1
    assert picture.description(table) != wanted


def test_the_same_table_gives_the_same_picture(documentation, picture, tmp_path):
    table = documentation.read_table(picture.table)
    for name in ("first.svg", "second.svg"):
        picture.draw(table, tmp_path / name)
    assert (tmp_path / "first.svg").read_bytes() == (tmp_path / "second.svg").read_bytes()


def test_every_table_of_results_is_a_recorded_one(documentation):
    names = []
    for page in sorted((DOCS / "results").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        by_hand = documentation._RECORDED.sub("", text)
        assert not re.findall(r"^\|.*\d.*\|$", by_hand, re.MULTILINE), page
        names += [found["name"] for found in documentation._RECORDED.finditer(text)]
        if page.name == "index.md":
            continue
        # What was measured stands above its table: the machine, the seeds and the command.
        first = text.index("<!-- recorded:")
        for told in ("- **Machine:**", "- **Seeds:**", "- **Command:**"):
            assert told in text[:first], f"{page} does not say {told}"
    assert len(names) == len(set(names))
    assert set(names) == {path.stem for path in documentation.RECORDED.glob("*.csv")}


@pytest.mark.parametrize("name", ["quickstart", "gst", "speed"])
def test_another_record_is_another_page(documentation, recorded, name):
    path = recorded / f"{name}.csv"
    table = pd.read_csv(path)
    table["parameters"] += 1000
    table.to_csv(path, index=False)
    texts = [page.read_text(encoding="utf-8") for page in (DOCS / "results").glob("*.md")]
    assert sum(documentation.with_recorded(text) != text for text in texts) == 1


def test_single_figures_follow_their_table(documentation, recorded):
    pd.DataFrame({"model": ["a", "b"], "cost [s]": [3.0, 1.5]}).to_csv(
        recorded / "made.csv", index=False
    )
    ratio = "<!-- value: made | model=a / model=b | cost [s] | .1f -->?<!-- value: end -->"
    plain = "<!-- value: made | model=b | cost [s] -->9<!-- value: end -->"
    found = documentation.with_recorded(f"{ratio} times, {plain} s")
    assert re.sub(r"<!--.*?-->", "", found) == "2.0 times, 1.5 s"
    with pytest.raises(SystemExit, match="0 rows are 'model=c'"):
        documentation.with_recorded(plain.replace("model=b", "model=c"))


def test_a_study_is_recorded(documentation, recorded, tmp_path):
    from study_samples import make_config, write_study

    from irrepress.report.page import write_report

    evaluation = {"dataset": "foundation", "dynamics": {"datasets": ["silicon"]}}
    config = make_config(evaluation=evaluation)
    write_report(write_study(tmp_path, config), config, tmp_path / "report")
    documentation.record_study(tmp_path / "report")
    models = pd.read_csv(recorded / "quickstart.csv").set_index("model")
    assert (models.loc["parent", "time"] == 1).all()
    assert (models.loc["taylor-0.50, recovered", "forces [meV/Å]"] > 0).all()
    tasks = pd.read_csv(recorded / "quickstart_downstream.csv").set_index("dataset")
    assert (tasks.loc["silicon", "energy scratch [meV/atom]"] == 20).any()
    assert (tasks.loc["mean", "energy reduced by [%]"] > 0).all()
    runs = pd.read_csv(recorded / "quickstart_dynamics.csv").set_index("model")
    assert runs.loc["parent", "energy drift [meV/atom/ps]"] == pytest.approx(-1e-3)
    assert (runs.loc["compressed, recovered, fine-tuned", "steps per second"] == 20).all()
    block = "<!-- recorded: quickstart -->\n<!-- recorded: end -->"
    assert documentation.with_recorded(block).count("taylor-0.50, recovered") > 0


def test_studies_of_several_seeds_are_compared(documentation, tmp_path):
    from study_samples import make_config, write_study

    from irrepress.report.page import write_report

    large = {"family": "sevennet", "checkpoint": "7net-l3i5"}
    small = {"family": "sevennet", "checkpoint": "7net-0", "compress": False}
    config = make_config(
        models={"large": large, "small": small},
        sweep={"criteria": ["taylor"], "budgets": [0.5], "axes": ["both"]},
        train_plans=["taylor-0.50"],
        evaluation={"dataset": "foundation", "dynamics": {"datasets": ["silicon"]}},
    )
    studies = [tmp_path / name for name in ("first", "second")]
    for study in studies:
        write_report(write_study(study, config), config, study / "report")
    models = documentation.models_table(studies[0] / "report").set_index("model")
    assert {"parent", "small", "taylor-0.50, recovered"} <= set(models.index)
    assert models.loc["small", "time"] == 1  # as slow as the parent of the other one
    table = documentation.seeds_table(studies).set_index("study")
    assert table.index.tolist() == ["first", "second"]
    assert (table["stable runs"] == "2 of 2").all()
    assert table.loc["first", "largest drift [meV/atom/ps]"] == pytest.approx(2e-3)
    assert table.loc["first", "forces reduced by, median [%]"] == pytest.approx(62.5)


def _blocks(language: str) -> list[tuple[str, str]]:
    """The blocks of the pages in a language, each with the page that it stands in."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for indent, name, block in _FENCED.findall(text):
            if name == language:
                found.append((name_of(page), re.sub(f"^{indent}", "", block, flags=re.MULTILINE)))
    return found


WHOLE = {"name", "models", "datasets", "scoring", "evaluation"}


def test_the_parts_of_configs_are_ones():
    """Sections that a page shows alone are put into a whole config, which is then checked."""
    checked = 0
    for page, text in _blocks("yaml"):
        content = yaml.safe_load(text) if "--8<--" not in text else None
        if not isinstance(content, dict) or not content.keys() <= set(_SECTIONS):
            continue
        parse_config(_completed(content), page)
        checked += 1
    assert checked > 12


_SECTIONS = (
    *("name", "seed", "device", "datasets", "downloads", "cluster", "models", "scoring", "sweep"),
    *("train_plans", "compensation", "recovery", "distillation", "quantization", "export"),
    *("downstream", "evaluation"),
)


def _completed(content: dict) -> dict:
    """Add what a fragment leaves out."""
    made = {"source": "generated", "systems": ["silicon"]}
    made["labels"] = {"family": "sevennet", "checkpoint": "7net-0"}
    whole = {
        "name": "study",
        "models": {"large": {"family": "sevennet", "checkpoint": "7net-0"}},
        "scoring": {"dataset": "mine"},
        "evaluation": {"dataset": "mine"},
    } | content
    needed = {"mine", "foundation"} - whole.get("datasets", {}).keys()
    whole["datasets"] = dict.fromkeys(needed, made) | whole.get("datasets", {})
    for dataset in whole["datasets"].values():
        dataset.setdefault("source", "files")  # without one it is merged with my-system.yaml's
    for model in whole["models"].values():
        model.setdefault("family", "sevennet")
    for section in {"scoring", "compensation", "evaluation"} & whole.keys():
        whole[section] = {"dataset": "mine"} | whole[section]
    if "downstream" in content:
        whole["downstream"] = {"datasets": ["mine"], "stage": "pruned"} | content["downstream"]
    return whole


def test_commands_of_the_pages_exist():
    commands = set()
    for _, text in _blocks("sh"):
        commands |= set(re.findall(r"(?:^|/)irrepress (\w+)", text, re.MULTILINE))
    assert {"check", "inspect", "card"} <= commands
    assert commands <= typer.main.get_command(app).commands.keys()


_MARK = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)


@pytest.fixture(scope="module")
def reference():
    """The hook that generates parts of the reference."""
    spec = importlib.util.spec_from_file_location("reference", DOCS / "hooks" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_part_of_the_reference_is_shown_once(reference):
    shown = [name for page in PAGES for name in _MARK.findall(page.read_text(encoding="utf-8"))]
    assert sorted(shown) == sorted(reference.GENERATED)
    page = (DOCS / "reference" / "prototypes.md").read_text(encoding="utf-8")
    whole = reference.on_page_markdown(page)
    assert _MARK.search(whole) is None and whole.startswith("# Prototypes")


def test_the_reference_lists_what_there_is(reference):
    config = reference.config()
    for name, section in schema()["$defs"].items():
        part = config.partition(f"## {name}\n")[2].partition("\n## ")[0]
        assert all(f"**`{key}`**" in part for key in section["properties"]), name
    commands = re.findall(r"^## `irrepress (\w+)`$", reference.command_line(), re.MULTILINE)
    assert set(commands) == typer.main.get_command(app).commands.keys()
    assert all(f"`{name}`" in reference.prototypes() for name in PROTOTYPES)
    assert all(f"`{name}`" in reference.datasets() for name in PUBLISHED)
    packages = {p.parent.name for p in (ROOT / "src" / "irrepress").glob("*/__init__.py")}
    assert set(re.findall(r"^\| `(\w+)` \|", reference.packages(), re.MULTILINE)) == packages


def test_the_reference_names_every_rule_and_target(reference):
    rules = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "rules").glob("*.smk"))
    named = reference.rules()
    assert all(f"`{rule}`" in named for rule in re.findall(r"^ *rule (\w+):", rules, re.MULTILINE))
    targets = re.findall(r"^rule (\w+):", (ROOT / "Snakefile").read_text(), re.MULTILINE)
    page = (DOCS / "reference" / "rules.md").read_text(encoding="utf-8")
    assert targets and all(f"`{target}`" in page for target in targets)


def test_links_of_the_readme_lead_somewhere():
    for page in (README, ROOT / "CONTRIBUTING.md"):
        text = page.read_text(encoding="utf-8")
        links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
        assert links
        assert [link for link in links if not (ROOT / link).exists()] == []
