"""What makes a job run again, and what does not."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import TypeAdapter
from study_samples import make_config

from irrepress.data.datasets import Dataset
from irrepress.study.parameters import (
    apart,
    parameters,
    plan_parameters,
    runtime_parameter,
    untracked,
)
from irrepress.study.reading import load_config
from irrepress.study.recipes import Recipe


def test_texts_and_settings_of_the_machine_are_no_parameters():
    training = {"dataset": "foundation", "devices": 2, "workers": 3, "steps": 10}
    model = {"family": "sevennet", "checkpoint": "7net-0", "licence": "MIT"}
    config = make_config(recovery=training, models={"sevennet-0": model})
    assert config.recovery is not None
    made = parameters(config.recovery)
    assert made["steps"] == 10 and not {"devices", "workers", "checkpoint_minutes"} & made.keys()
    assert "licence" not in parameters(config.models["sevennet-0"])
    assert "licence" not in parameters(config.datasets["foundation"])["labels"]


def test_targets_that_are_not_used_are_no_parameters():
    """Studies of earlier versions stay valid."""
    plain = make_config(distillation={"dataset": "foundation"}).distillation
    used = make_config(distillation={"dataset": "foundation", "hessian_rows": 1}).distillation
    names = {"atomic_energies", "hessian_rows", "hessian_weight"}
    assert not names & parameters(plain).keys() and names <= parameters(used).keys()
    assert {**parameters(plain), **apart(plain)} == plain.model_dump(mode="json")


def test_the_runtime_of_times_is_a_parameter_where_it_is_not_the_familys_own_code():
    """Studies of earlier versions stay valid."""
    sweep = {"criteria": ["taylor"], "budgets": [0.5, 0.25], "unit": "time"}
    plain = make_config(sweep=sweep)
    named = make_config(sweep={**sweep, "runtime": "torchscript"})
    assert runtime_parameter(plain) == {} and "runtime" not in parameters(plain.sweep)
    assert "runtime" not in plan_parameters(plain, "taylor-0.50")
    assert plan_parameters(named, "taylor-0.50")["runtime"] == "torchscript"
    (model, *_) = named.compressed_models()
    decide = runtime_parameter(named)["runtime"]
    assert decide(SimpleNamespace(model=model)) == "torchscript"
    assert decide(SimpleNamespace(model="another")) == "native"


def test_the_whole_config_is_a_parameter_as_it_is():
    config = make_config()
    assert parameters(config) == config.model_dump(mode="json")


def test_errors_and_times_do_not_depend_on_dynamics():
    settings = {"dataset": "foundation", "timing_atoms": 32}
    dynamics = {"datasets": ["silicon"]}
    with_them = make_config(evaluation=settings | {"dynamics": dynamics}).evaluation
    assert parameters(with_them) == parameters(make_config(evaluation=settings).evaluation)


def test_a_plan_depends_on_its_recipe_and_on_what_all_plans_share():
    config = make_config()
    assert plan_parameters(config, "taylor-0.50-channels") == {
        "criterion": "taylor",
        "axes": "channels",
        "allocation": "greedy",
        "cutoff": None,
        "budget": 0.5,
        "unit": "flops",
        "multiple": 8,
        "floor": 8,
        "normalization": "auto",
    }
    explicit = plan_parameters(config, "taylor-small")
    assert explicit["explicit"]["filter_lmax"] == 1 and "budget" not in explicit


CONFIGS = sorted(Path(__file__).parents[2].glob("config/*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_scripts_get_the_sections_that_the_config_holds(path):
    config = load_config(path)
    trainings = [model.training for model in config.models.values()]
    trainings += [config.recovery, config.distillation]
    trainings += [config.downstream.training] if config.downstream else []
    sections = [config, config.scoring, config.evaluation, *config.models.values()]
    sections += [section for section in (*trainings, config.compensation) if section is not None]
    for section in sections:
        told = {**parameters(section), **apart(section)}
        assert type(section).model_validate(told) == section
    for dataset in config.datasets.values():
        told = {**parameters(dataset), **apart(dataset)}
        if "labels" in told:  # the labelling model is told by itself
            told["labels"] = untracked(dataset.labels)({}, [])
        assert TypeAdapter(Dataset).validate_python(told) == dataset
    for name, recipe in config.plans().items():
        told = plan_parameters(config, name)
        own = {key: told[key] for key in Recipe.model_fields if key in told}
        assert Recipe.model_validate(own) == recipe


def test_what_is_untracked_is_told_as_plain_data():
    config = make_config()
    assert untracked(3)({}, []) == 3
    assert untracked(config.evaluation)({}, [])["dataset"] == "foundation"
    assert untracked(lambda wildcards: wildcards["model"])({"model": "m"}, []) == "m"
