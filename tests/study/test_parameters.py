"""What makes a job run again, and what does not."""

from study_samples import make_config

from irrepress.study.parameters import parameters, plan_parameters


def test_texts_and_settings_of_the_machine_are_no_parameters():
    training = {"dataset": "foundation", "devices": 2, "workers": 3, "steps": 10}
    model = {"family": "sevennet", "checkpoint": "7net-0", "licence": "MIT"}
    config = make_config(recovery=training, models={"sevennet-0": model})
    assert config.recovery is not None
    made = parameters(config.recovery)
    assert made["steps"] == 10 and not {"devices", "workers", "checkpoint_minutes"} & made.keys()
    assert "licence" not in parameters(config.models["sevennet-0"])
    assert "licence" not in parameters(config.datasets["foundation"])["labels"]


def test_the_whole_config_is_a_parameter_as_it_is():
    config = make_config()
    assert parameters(config) == config.model_dump(mode="json")


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
