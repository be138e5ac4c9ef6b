"""The page as text: complete, self-contained, and clear about labels."""

import json
import re

import pandas as pd
import pytest
from study_samples import ONE_SYSTEM, dynamics, make_config, write_study

from irrepress.core.errors import UserError
from irrepress.data.layout import UNLABELLED
from irrepress.evaluation.physics.verdicts import Validated, Verdict
from irrepress.report.page import render, write_report
from irrepress.report.study import read_study
from irrepress.study.uses import used_datasets

# The least that still has every part: quick to write again.
SMALL = {
    "sweep": {"criteria": ["taylor"], "budgets": [0.5], "axes": ["both"]},
    "train_plans": ["taylor-0.50"],
    "downstream": {"datasets": ["silicon"]},
}


@pytest.fixture
def small(tmp_path):
    """A small study that a test may damage, and its config."""
    config = make_config(**SMALL)
    return write_study(tmp_path, config), config


@pytest.fixture(scope="module")
def page(report_dir):
    return (report_dir / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def markup(page):
    """The page without scripts and styles."""
    return re.sub(r"<(script|style)[^>]*>.*?</\1>", "", page, flags=re.DOTALL)


def test_writes_a_page_and_its_tables(report_dir, config):
    assert sorted(p.name for p in report_dir.iterdir()) == [
        "cost.csv",
        "data.csv",
        "downstream.csv",
        "errors.csv",
        "index.html",
        "suspects.csv",
        "sweep.csv",
        "usage.csv",
    ]
    sweep = pd.read_csv(report_dir / "sweep.csv")
    assert sweep["plan"].tolist() == ["parent", *config.plans()]


def test_nothing_is_fetched(markup, page):
    # Links that readers click are the only addresses outside scripts.
    addresses = re.findall(r'(\w[\w-]*)="(?:https?:)?//[^"]*"', markup)
    assert set(addresses) == {"href"}
    assert not re.search(r"<(link|img|iframe|script)[^>]*(src|href)=\"(?!data:)", markup)
    style = re.search(r"<style>(.*?)</style>", page, flags=re.DOTALL).group(1)
    assert "url(" not in style and "@import" not in style
    assert "default-src 'none'" in markup
    assert page.count("plotly.js v") == 1


def test_labels_made_by_a_model_are_called_so_near_the_top(markup):
    top = markup[: markup.index('id="story"')]
    assert "Labels made by a model are not DFT." in top
    assert re.search(r"<b>foundation</b> were computed by <b>SevenNet-l3i5 \(7net-l3i5\)</b>", top)
    assert re.search(r"<b>silicon and ethanol</b> are <b>PBE</b>", top)


def test_labels_from_files_alone_raise_no_warning(tmp_path):
    files = {"source": "files", "paths": ["frames.xyz"]}
    datasets = {name: files for name in ("foundation", "silicon", "ethanol")}
    config = make_config(**SMALL | {"datasets": datasets})
    study_dir = write_study(tmp_path, config)
    write_report(study_dir, config, tmp_path)
    assert "not DFT" not in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_datasets_without_labels_are_not_said_to_have_some(small, tmp_path):
    study, config = small
    for path in (study / "data").glob("*.summary.json"):
        content = json.loads(path.read_text())
        content["origin"]["labels"] = UNLABELLED
        path.write_text(json.dumps(content))
    write_report(study, config, tmp_path / "report")
    assert "The labels of" not in (tmp_path / "report" / "index.html").read_text()


def test_cites_what_it_stands_on(markup):
    for identifier in (
        "arXiv:2605.08885",
        "doi:10.1021/acs.jctc.4c00190",
        "doi:10.1038/s41467-022-29939-5",
        "doi:10.1038/s42256-023-00716-3",
        "doi:10.1088/1361-648X/aa680e",
        "arXiv:2207.09453",
        "doi:10.12688/f1000research.29032.2",
        "arXiv:1906.10771",
        "arXiv:2409.07947",
    ):
        assert identifier in markup
    cited = set(re.findall(r'href="#(ref-[^"]+)"', markup))
    assert cited == set(re.findall(r'id="(ref-[^"]+)"', markup))


def test_shows_versions_seed_checkpoint_and_configuration(markup):
    assert re.search(r"<dt>torch</dt><dd>2\.13\.0</dd>", markup)
    assert "seed is 7" in markup
    assert "a" * 64 in markup and "GPL-3.0" in markup
    assert "snakemake --cores all --configfile study.yaml" in markup
    assert "learning_rate: 0.001" in markup


def test_links_in_the_table_of_contents_lead_somewhere(markup):
    links = re.findall(r'<li><a href="#([^"]+)">', markup)
    assert links and all(f'<section id="{link}">' in markup for link in links)


def test_figures_are_json_without_templates(page):
    content = json.loads(re.search(r'id="figures">(.*?)</script>', page, flags=re.DOTALL).group(1))
    assert set(content["templates"]) == {"light", "dark"}
    for figures in content["panels"].values():
        for figure in figures.values():
            assert figure["data"] and "template" not in figure["layout"]


def test_parts_that_are_not_configured_are_left_out(tmp_path):
    absent = ("downstream", "distillation", "quantization", "recovery")
    config = make_config(**SMALL | dict.fromkeys(absent))
    study_dir = write_study(tmp_path, config)
    write_report(study_dir, config, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    for section in ("training", "downstream"):
        assert f'id="{section}"' not in page and f'href="#{section}"' not in page
    assert "Quantization" not in page
    assert pd.read_csv(tmp_path / "report" / "downstream.csv").empty


def test_without_baselines_nothing_is_compared_with_the_paper(tmp_path):
    config = make_config(**SMALL | {"downstream": {"datasets": ["silicon"], "baselines": []}})
    study_dir = write_study(tmp_path, config)
    write_report(study_dir, config, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    section = re.search(r'<section id="downstream">.*?</section>', page, flags=re.DOTALL)[0]
    assert "On every dataset the compressed model is fine-tuned." in section
    assert "scratch" not in section and "paper" not in section


def test_models_to_compare_with_and_exported_ones_are_shown(tmp_path):
    models = {
        "large": {"family": "sevennet", "checkpoint": "7net-l3i5"},
        "official": {"family": "sevennet", "checkpoint": "7net-0", "compress": False},
    }
    config = make_config(**SMALL | {"models": models, "export": {"dtypes": ["float32"]}})
    study_dir = write_study(tmp_path, config)
    write_report(study_dir, config, tmp_path / "report")
    cost = pd.read_csv(tmp_path / "report" / "cost.csv")
    assert cost[cost["model"] == "official"]["plan"].tolist() == ["parent"]
    assert "recovered-float32" in set(cost[cost["model"] == "large"]["stage"])
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "official is the checkpoint" in page
    assert "In float32 the errors of the recovered model go from" in page


def test_the_parameters_of_the_restricted_parent_are_shown(small, tmp_path):
    study_dir, config = small
    path = study_dir / "sevennet-0" / "parent" / "original" / "card.json"
    card = json.loads(path.read_text())
    card["stages"] = [
        {"stage": "restricted", "elements": ["Si"], "left_out": 88, "parameters_before": 5725072}
    ]
    path.write_text(json.dumps(card))
    write_report(study_dir, config, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "parameters, restricted parent" in page
    assert "with all its elements it has 5,725,072 parameters" in page


@pytest.mark.parametrize("code", ["own", "faster"])
@pytest.mark.parametrize("value", [0.01, None])
def test_a_failing_check_is_said(small, tmp_path, code, value):
    damaged, config = small
    path = damaged / "sevennet-0" / "taylor-0.50" / "pruned" / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["checks"][code]["rotation"] = value
    path.write_text(json.dumps(metrics))
    write_report(damaged, config, tmp_path / "report")
    assert "Not all models pass" in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")


def test_a_check_without_a_value_is_not_passed(small, tmp_path):
    damaged, config = small
    path = damaged / "sevennet-0/taylor-0.50/recovered/downstream/silicon/finetuned/metrics.json"
    metrics = json.loads(path.read_text())
    metrics["checks"]["own"]["finite_difference"] = None
    path.write_text(json.dumps(metrics))
    write_report(damaged, config, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "Not all models pass" in page and "All models pass" not in page
    assert (
        "taylor-0.50, recovered, fine-tuned on silicon: finite_difference (sevenn 0.13.0): no value"
        in page
    )


def test_predictions_that_are_not_numbers_are_counted(small, tmp_path):
    damaged, config = small
    path = damaged / "sevennet-0" / "taylor-0.50" / "pruned" / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["errors"]["labels"] |= {"forces_mae": None, "forces_rmse": None}
    metrics["failures"] = {"structures": 1, "quantities": {"forces": 1}, "first": [0]}
    path.write_text(json.dumps(metrics))
    write_report(damaged, config, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "Predictions that are not numbers" in page
    assert "taylor-0.50, pruned: the predicted forces of 1 structure of 2 in foundation" in page


def test_aligned_energies_are_told_with_what_they_would_be(small, tmp_path):
    study_dir, config = small
    told = "energies aligned: 2 constants change their mean absolute difference from 647,634 to 27"
    for path in study_dir.rglob("metrics.json"):
        metrics = json.loads(path.read_text())
        unaligned = {"energy_mae": 647.634, "energy_rmse": 700.0}
        constants = {"Na": -4412.5, "Cl": 12525.0}
        aligned = {"applied": True, "told": told, "constants": constants, "unaligned": unaligned}
        metrics["alignment"] = aligned
        path.write_text(json.dumps(metrics))
    write_report(study_dir, config, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert page.count(f"On foundation, {told}.") == 1
    assert "The constants are [eV]: Na -4412.50, Cl 12525.00." in page
    assert "parent, original 647,634" in page


def test_every_model_is_told_with_its_path_errors_speed_and_how_to_load_it(small, tmp_path):
    study_dir, config = small
    write_report(study_dir, config, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    section = re.search(r'<section id="models">.*?</section>', page, flags=re.DOTALL)[0]
    folders = [path.parent for path in study_dir.rglob("metrics.json")]
    assert len(folders) == section.count("atoms.calc = SevenNetCalculator(") > 5
    for folder in folders:
        assert f"{folder / 'model.pt'}\n" in section
    first = section[: section.index("<details>")]
    assert "recovered/downstream/silicon/finetuned/model.pt" in first
    assert first.count("<pre>") == 1


def test_the_final_model_is_the_headline(tmp_path):
    config = make_config(**ONE_SYSTEM)
    write_report(write_study(tmp_path, config), config, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    text = re.sub(r"\s+", " ", page)
    assert "1 plan a model, 5 models measured" in text
    assert "The study ends at taylor-0.50, recovered, fine-tuned on silicon" in text
    for name in ("errors", "cost", "checks"):
        table = re.search(rf'<table id="table-{name}".*?</table>', page, flags=re.DOTALL)[0]
        assert "fine-tuned on silicon" in table.replace("<wbr>", ""), name


def test_labels_of_an_unknown_level_are_called_so(tmp_path):
    config = make_config(**ONE_SYSTEM)
    study_dir = write_study(tmp_path, config)
    path = study_dir / "data" / "silicon.summary.json"
    summary = json.loads(path.read_text())
    summary["origin"]["labels"] = "unknown"
    path.write_text(json.dumps(summary))
    write_report(study_dir, config, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "the config does not say of which level" in page
    assert "<b>unknown</b>" not in page


def test_times_of_a_busy_machine_are_called_rough(small, tmp_path):
    study_dir, config = small
    path = study_dir / "sevennet-0" / "taylor-0.50" / "recovered" / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["cost"]["busy"] = "its load is 9 on 2 cores"
    path.write_text(json.dumps(metrics))
    write_report(study_dir, config, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "Times are rough" in page
    assert "<li>its load is 9 on 2 cores: taylor-0.50, recovered</li>" in page
    table = re.search(r'<table id="table-cost".*?</table>', page, flags=re.DOTALL)[0]
    assert "spread of the ratio" in table


def test_names_are_escaped(small, tmp_path):
    damaged, config = small
    path = damaged / "sevennet-0" / "parent" / "original" / "card.json"
    card = json.loads(path.read_text())
    card["licence"] = "<script>alert(1)</script>"
    path.write_text(json.dumps(card))
    write_report(damaged, config, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page


def test_a_missing_record_leaves_the_old_report_as_it_was(small, tmp_path):
    damaged, config = small
    out = tmp_path / "report"
    write_report(damaged, config, out)
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    (damaged / "sevennet-0" / "taylor-0.50" / "distilled" / "metrics.json").unlink()
    with pytest.raises(UserError, match=r"metrics\.json"):
        write_report(damaged, config, out)
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_several_models_each_have_their_story(tmp_path):
    checkpoints = {"small": "7net-0", "large": "7net-l3i5"}
    models = {name: {"family": "sevennet", "checkpoint": c} for name, c in checkpoints.items()}
    config = make_config(**SMALL | {"models": models})
    write_report(write_study(tmp_path, config), config, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert page.count("<h3>The parent</h3>") == 2
    assert "<option>small, taylor-0.50</option>" in page
    assert "<option>large, taylor-0.50</option>" in page
    downstream = pd.read_csv(tmp_path / "report" / "downstream.csv")
    assert downstream["model"].dropna().tolist() == ["small", "small", "large", "large"]


FAMILIES = {
    "seven": {"family": "sevennet", "checkpoint": "7net-0"},
    "mace": {"family": "mace", "checkpoint": "mace-mp-0-small"},
    "own": {
        "family": "escn",
        "untrained": {"lmax": 2},
        "training": {"dataset": "foundation", "steps": 400},
    },
}


def test_families_stand_side_by_side(tmp_path):
    config = make_config(**SMALL | {"models": FAMILIES})
    write_report(write_study(tmp_path, config), config, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    sweep = pd.read_csv(tmp_path / "report" / "sweep.csv")
    families = {name: model["family"] for name, model in FAMILIES.items()}
    plans = len(config.plans()) + 1
    assert sweep["model"].tolist() == [name for name in FAMILIES for _ in range(plans)]
    assert sweep["family"].tolist() == [families[name] for name in sweep["model"]]
    # Ratios are to each model's own parent.
    assert sweep.loc[sweep["plan"] == "parent", "FLOPs ratio"].tolist() == [1, 1, 1]
    text = re.sub(r"\s+", " ", page)
    assert '<th scope="col">family</th>' in text or ">family<" in text
    assert "operations are counted by rules of its own" in text
    for model in FAMILIES:
        assert f"<option>{model}, taylor-0.50</option>" in page
    assert "own is a model of the family escn, trained from scratch on foundation in" in text
    assert "seven is the checkpoint 7net-0 of the family sevennet" in text
    for name in ("MACE: Higher Order", "(eSCN)", "UMA: A Family"):
        assert name in text
    cited = set(re.findall(r'href="#(ref-[^"]+)"', page))
    assert cited == set(re.findall(r'id="(ref-[^"]+)"', page))


def test_a_report_of_one_family_has_no_column_for_it(page):
    assert ">family<" not in page
    assert "by rules of its own" not in page


def test_data_that_trained_a_parent_are_told():
    config = make_config(**SMALL | {"models": FAMILIES})
    assert "training of own" in used_datasets(config)["foundation"]


def with_dynamics(tmp_path):
    """A small study with dynamics of silicon, and its config."""
    evaluation = {"dataset": "foundation", "dynamics": {"datasets": ["silicon"]}}
    config = make_config(**SMALL, evaluation=evaluation)
    return write_study(tmp_path, config), config


def test_dynamics_have_a_section_and_a_table(tmp_path, markup):
    study_dir, config = with_dynamics(tmp_path)
    write_report(study_dir, config, tmp_path / "report")
    page = (tmp_path / "report/index.html").read_text(encoding="utf-8")
    assert 'id="dynamics"' in page and "All runs are stable:" in page
    assert "run by velocity Verlet" in page
    table = pd.read_csv(tmp_path / "report/dynamics.csv").set_index("plan")
    assert table["energy drift [meV/atom/ps]"].tolist() == pytest.approx([-1e-3, 2e-3])
    assert table.loc["taylor-0.50", "steps per second"] == 20
    assert table["length [ps]"].tolist() == [0.5, 0.5] and table["not passed"].isna().all()
    assert 'id="dynamics"' not in markup and "velocity Verlet" not in markup


def test_dynamics_that_break_are_told(tmp_path):
    study_dir, config = with_dynamics(tmp_path)
    folder = study_dir / "sevennet-0/taylor-0.50/recovered/downstream/silicon/finetuned"
    absent = dict.fromkeys(("drift", "fluctuation", "temperature", "steps_per_second"))
    broke = "atom 3 has lost all its neighbours at step 40 at constant energy"
    dynamics("silicon", parent=False, broke=broke, **absent).save(folder / "dynamics/silicon.json")
    write_report(study_dir, config, tmp_path / "report")
    page = (tmp_path / "report/index.html").read_text(encoding="utf-8")
    assert "Not all runs are stable:" in page
    assert f"taylor-0.50, recovered, fine-tuned on Si16 of silicon: {broke}" in page
    assert f"the run with the compressed model broke: {broke}." in page.replace("\u00a0", " ")


def with_validation(tmp_path, within, stable=True):
    """A small study whose distilled model was validated, and its config."""
    config = make_config(validation={"dataset": "foundation"}, **SMALL)
    study_dir = write_study(tmp_path / "study", config)
    verdicts = [
        Verdict(
            structure="Si8",
            check="eos",
            quantity="bulk modulus",
            value=2.5 if within else 25,
            unit="%",
            tolerance=5,
            within=within,
            remark="100 GPa, the parent 98",
        ),
        Verdict(structure="Si8", check="phonons", quantity="phonons", remark="no time"),
        Verdict(
            structure="Si8",
            check="dynamics 300 K",
            quantity="stability at 300 K",
            within=stable,
            essential=True,
        ),
    ]
    curves = {
        "Si8": {
            "equation of state": {"x": [1, 2], "own": [0, 1], "parent_x": [1, 2], "parent": [0, 1]},
            "phonon frequencies": {"x": [1, 2], "own": [1, 2.1]},
        }
    }
    Validated(
        model="m",
        parent="p",
        sha256="",
        code="sevenn",
        device="cpu",
        threads=1,
        seed=0,
        settings={},
        seconds=1.0,
        structures=[],
        verdicts=verdicts,
        cut=["Si8, dynamics 300 K with the parent: 1 of 20 ps, cut by the time limit"],
        curves=curves,
    ).save(study_dir / "sevennet-0/taylor-0.50/distilled/validation.json")
    return study_dir, config


def test_a_model_that_is_not_like_its_parent_is_told_in_the_first_lines(tmp_path):
    study_dir, config = with_validation(tmp_path, within=False)
    write_report(study_dir, config, tmp_path / "report")
    page = (tmp_path / "report/index.html").read_text()
    header = page[page.index("<header>") : page.index("</header>")]
    assert "Not every model does what its parent does." in header
    assert "failed: 1 of 3 quantities within tolerance, 1 NOT, 1 not done" in header
    assert "bulk modulus 25 %" in header
    assert "Not all models are within the tolerances." in page
    assert "cut by the time limit" in page and "no time" in page
    story = page[page.index('id="story"') : page.index('id="models"')].replace("\u00a0", " ")
    assert "The result is failed: 1 of 3" in story and "bulk modulus 25 %" in story
    table = pd.read_csv(tmp_path / "report/validation.csv").set_index("quantity")
    assert table.loc["bulk modulus", ["value", "tolerance"]].tolist() == [25, 5]
    assert table["judged"].tolist() == ["NOT WITHIN", "not done", "within"]
    assert table["plan"].unique() == ["taylor-0.50"]


def test_a_model_that_was_not_measured_in_full_is_not_called_proven(tmp_path):
    study_dir, config = with_validation(tmp_path, within=True, stable=None)
    write_report(study_dir, config, tmp_path / "report")
    page = (tmp_path / "report/index.html").read_text()
    header = page[page.index("<header>") : page.index("</header>")]
    assert "Not every model is proven." in header and "incomplete: 1 of 3" in header
    assert "what is essential is missing: stability at 300 K (Si8)" in header
    assert "Not every model does what its parent does." not in header
    assert "Not all that is essential was measured." in page


def test_a_model_that_is_like_its_parent_has_a_section_and_no_warning(tmp_path, markup):
    study_dir, config = with_validation(tmp_path, within=True)
    write_report(study_dir, config, tmp_path / "report")
    page = (tmp_path / "report/index.html").read_text()
    assert 'id="validation"' in page and "All models are within the tolerances." in page
    assert "Not every model does what its parent does." not in page
    assert 'id="validation"' not in markup


def test_a_refinement_is_told_round_by_round(tmp_path):
    settings = {"dataset": "foundation", "of": "silicon", "temperatures": [300, 900]}
    config = make_config(refinement=settings)
    page = render(read_study(write_study(tmp_path, config), config))
    page = page.replace("\u2060", "").replace("\u00a0", " ")  # which keep units together
    assert "round 0: forces off by 17 % of their mean, 100 meV/Å, on 12 frames, 1 of 4 runs" in page
    assert "ended because the last round is done; the model of round 1 is kept" in page
    assert "from silicon at 300 and 900 K" in " ".join(page.split())


def test_deployments_have_a_section_with_times_beside_the_parents(tmp_path, markup):
    deploy = {"targets": ["native", "lammps"], "stages": ["distilled"]}
    config = make_config(deploy=deploy, **SMALL)
    write_report(write_study(tmp_path, config), config, tmp_path / "report")
    page = (tmp_path / "report/index.html").read_text(encoding="utf-8")
    assert 'id="deploy"' in page and "checked in torch; no LAMMPS is here" in page
    assert "5,000 atoms would take longer than the time limit" in page
    table = pd.read_csv(tmp_path / "report/deploy.csv").set_index(["target", "atoms"])
    assert table.loc[("native", 8), "speed-up"] == pytest.approx(2)
    assert table.loc[("native", 1000), "speed-up"] == pytest.approx(4)
    assert table.loc[("native", 8), "versions"] == "sevenn 0.13.0"
    assert len(table) == 3 and table["time [ms]"].isna().sum() == 1
    assert 'id="deploy"' not in markup
