import copy

import pytest
import yaml
from minimal_config import MINIMAL
from study_samples import make_config

from irrepress.core.errors import UserError
from irrepress.study.config import Config
from irrepress.study.reading import load_config, parse_config
from irrepress.study.stages import PRUNED
from irrepress.study.uses import used_datasets

JOINED = {"source": "joined"}
STRUCTURES = {"source": "files", "paths": ["own.cif"], "labels": False}
PERTURBED = {
    "source": "perturbed",
    "of": "own",
    "labels": {"family": "sevennet", "checkpoint": "7net-l3i5"},
}


def changed(path, value):
    content = copy.deepcopy(MINIMAL)
    *parents, last = path.split(".")
    node = content
    for key in parents:
        node = node.setdefault(key, {})
    node[last] = value
    return content


def test_a_minimal_config_gets_its_defaults():
    config = parse_config(MINIMAL)
    assert isinstance(config, Config)
    assert config.stages() == [PRUNED]
    assert config.datasets["foundation"].split.train == 0.7


def test_directories_of_downloads_may_name_home_and_variables(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("SCRATCH", "/scratch/me")
    sections = {"directory": "~/downloads", "mirror": "${SCRATCH}/mirror"}
    downloads = parse_config(changed("downloads", sections)).downloads
    assert (downloads.directory, downloads.mirror) == ("/home/me/downloads", "/scratch/me/mirror")
    for key in sections:
        with pytest.raises(UserError, match=rf"downloads.{key}: braces .* choose .*'{{a}}/b'"):
            parse_config(changed("downloads", {key: "{a}/b"}))
        with pytest.raises(UserError, match=rf"downloads.{key}: the environment variable NONE"):
            parse_config(changed("downloads", {key: "$NONE/b"}))


def test_the_plans_are_criteria_by_budgets_by_axes():
    config = parse_config(
        changed(
            "sweep",
            {
                "criteria": ["taylor"],
                "budgets": [0.5],
                "explicit": {"tiny": {"irreps": "16x0e"}},
            },
        )
    )
    plans = config.plans()
    assert list(plans) == ["taylor-0.50", "taylor-0.50-channels", "taylor-tiny"]
    assert plans["taylor-0.50-channels"].axes == "channels"
    assert plans["taylor-tiny"].explicit.irreps == "16x0e"


def test_cutoffs_have_plans_of_their_own():
    sweep = {
        "criteria": ["taylor"],
        "budgets": [0.5],
        "axes": ["both"],
        "cutoffs": [None, 4.5],
        "explicit": {"near": {"irreps": "16x0e", "cutoff": 4}},
    }
    plans = parse_config(changed("sweep", sweep)).plans()
    assert {name: plan.cutoff for name, plan in plans.items()} == {
        "taylor-0.50": None,
        "taylor-0.50-4.5A": 4.5,
        "taylor-near": 4.0,
    }


def test_layers_have_plans_of_their_own():
    sweep = {
        "criteria": ["taylor"],
        "budgets": [0.5],
        "axes": ["both"],
        "cutoffs": [None, 4.5],
        "layers": [None, 3],
        "explicit": {"short": {"irreps": "16x0e", "layers": [0, 4]}},
    }
    plans = parse_config(changed("sweep", sweep)).plans()
    assert {name: (plan.layers, plan.cutoff) for name, plan in plans.items()} == {
        "taylor-0.50": (None, None),
        "taylor-0.50-4.5A": (None, 4.5),
        "taylor-0.50-3L": (3, None),
        "taylor-0.50-3L-4.5A": (3, 4.5),
        "taylor-short": ([0, 4], None),
    }
    with pytest.raises(UserError, match="layers cannot go with the allocation 'measured'"):
        parse_config(changed("sweep", sweep | {"allocations": ["greedy", "measured"]}))


@pytest.mark.parametrize(
    "named",
    [
        {"cutoff": 4},
        {"filter_lmax": 1},
        {"widths": {"readout": 8}},
        {"irreps": "16x0e"},
        {"layers": 3},
    ],
)
def test_explicit_plans_name_only_what_changes(named):
    sweep = {"criteria": ["taylor"], "budgets": [], "explicit": {"other": named}}
    plans = parse_config(changed("sweep", sweep)).plans()
    assert plans["taylor-other"].explicit.model_dump(exclude_defaults=True) == named
    assert plans["taylor-other"].cutoff == named.get("cutoff")


def test_an_explicit_plan_that_names_nothing_is_refused():
    with pytest.raises(UserError, match=r"other: .*give irreps, filter_lmax, widths, cutoff or"):
        parse_config(changed("sweep", {"explicit": {"other": {"filter_lmax": None}}}))


def test_features_cannot_be_followed_where_the_cutoff_is_shorter():
    content = changed("sweep", {"cutoffs": [None, 4.5], "axes": ["both"]})
    content["distillation"] = {"dataset": "own", "features": 0.1}
    parse_config(content | {"train_plans": ["taylor-0.50"]})
    with pytest.raises(UserError, match=r"distillation.features: plan 'taylor-0.50-4.5A'.*to 0"):
        parse_config(content | {"train_plans": ["taylor-0.50-4.5A"]})


def test_allocations_have_plans_of_their_own():
    sweep = {
        "criteria": ["fisher"],
        "budgets": [0.5],
        "allocations": ["greedy", "uniform", "iterated"],
    }
    plans = parse_config(changed("sweep", sweep)).plans()
    # Uniform keeps all orders, so that its plan would be the same for the other axes.
    assert list(plans) == [
        "fisher-0.50",
        "fisher-0.50-uniform",
        "fisher-0.50-iterated",
        "fisher-0.50-channels",
        "fisher-0.50-channels-iterated",
    ]
    assert plans["fisher-0.50-channels-iterated"].allocation == "iterated"
    channels = parse_config(changed("sweep", {**sweep, "axes": ["channels"]})).plans()
    assert "fisher-0.50-channels-uniform" in channels


@pytest.mark.parametrize(
    ("path", "value", "parts"),
    [
        ("scorign", {}, ["scorign: unknown key", "did you mean 'scoring'"]),
        ("scoring.batchsize", 3, ["scoring.batchsize", "did you mean 'batch_size'"]),
        (
            "datasets.foundation.sytems",
            [],
            ["datasets.foundation.sytems: unknown key", "did you mean 'systems'"],
        ),
        ("sweep.criteria", ["tailor"], ["unknown value 'tailor'", "did you mean 'taylor'"]),
        ("sweep.budgets", [-0.5], ["sweep.budgets.0", "greater than 0", "-0.5"]),
        ("sweep.budgets", [1.5], ["sweep.budgets.0", "less than 1", "1.5"]),
        ("sweep.budgets", [0.5, 0.501], ["same to two decimals"]),
        ("sweep.criteria", ["taylor", "taylor"], ["sweep.criteria: 'taylor' occurs twice"]),
        ("train_plans", ["taylor-0.50"] * 2, ["train_plans: 'taylor-0.50' occurs twice"]),
        ("datasets.own.paths", ["a.xyz", "a.xyz"], ["datasets.own.paths: 'a.xyz' occurs twice"]),
        ("downstream", {"datasets": ["own", "own"]}, ["downstream.datasets: 'own' occurs twice"]),
        (
            "sweep",
            {"criteria": ["random"], "allocations": ["iterated"]},
            ["sweep.allocations: 'iterated'", "'random'", "remove one of them"],
        ),
        ("sweep.allocations", ["iterate"], ["'iterate'", "did you mean 'iterated'"]),
        ("sweep.runtime", "torchscript", ["runtime: torchscript", "set unit: time, or leave"]),
        (
            "sweep",
            {"unit": "time", "runtime": "symmetrix"},
            ["symmetrix runs models of mace, and models.sevennet-0 is of sevennet; remove runtime"],
        ),
        (
            "sweep",
            {"unit": "time", "runtime": "symmetrix", "allocations": ["measured"]},
            ["runtime: symmetrix cannot go with the allocation 'measured'; take greedy"],
        ),
        ("sweep.cutoffs", [4.5, 4.5], ["sweep.cutoffs", "twice"]),
        ("sweep.cutoffs", [-4.5], ["sweep.cutoffs", "greater than 0"]),
        ("sweep.step", 1.5, ["sweep.step", "less than 1"]),
        ("scoring.dataset", "foundatoin", ["no dataset 'foundatoin'", "'foundation'"]),
        ("train_plans", ["taylor-0.51"], ["no plan 'taylor-0.51'", "taylor-0.50"]),
        ("datasets.own.split", {"train": 0.9}, ["must be 1", "1.2"]),
        ("recovery", {"steps": 10}, ["recovery.dataset", "give the dataset"]),
        (
            "recovery",
            {"dataset": "own", "relative_rates": {"raidal": 0.1}},
            ["relative_rates", "radial"],
        ),
        (
            "recovery",
            {
                "dataset": "own",
                "relative_rates": {"embedding": 0, "linear": 0, "radial": 0, "readout": 0},
            },
            ["relative_rates", "nothing would be trained"],
        ),
        ("downstream", {"stage": "recovered"}, ["'recovered' is not computed"]),
        ("quantization", {"stages": ["distilled"]}, ["'distilled' is not computed"]),
        ("export", {"stages": ["distilled"]}, ["export.stages", "'distilled' is not computed"]),
        ("export", {"dtypes": ["float23"]}, ["export.dtypes", "did you mean 'float32'"]),
        ("models.sevennet-0.compress", False, ["none is compressed"]),
        ("models.sevennet-0.restrict_to", "onw", ["no dataset 'onw'", "did you mean 'own'"]),
        ("models.sevennet-0.sha256", "abc", ["models.sevennet-0.sha256", "abc"]),
        ("device", "gpu", ["device", "gpu"]),
        (
            "datasets.p",
            PERTURBED | {"of": "onw"},
            ["datasets.p.of: no dataset 'onw'; did you mean 'own'? Known: foundation, own"],
        ),
        ("datasets.p", PERTURBED | {"of": "p"}, ["datasets.p.of: 'p' would be made from itself"]),
        (
            "datasets",
            MINIMAL["datasets"] | {"p": PERTURBED | {"of": "q"}, "q": PERTURBED | {"of": "p"}},
            ["datasets.p.of: 'p' would be made from itself; give the dataset that"],
        ),
        (
            "datasets.perturbed",  # named like its source
            PERTURBED | {"ratle": 0.1},
            ["datasets.perturbed.ratle: unknown key of source: perturbed; did you mean 'rattle'"],
        ),
        ("datasets.own.labels", True, ["own.labels: neither false (structures only), null"]),
        ("datasets.own.labels", "7net-0", ["own.labels: neither", "(got '7net-0')"]),
        (
            "datasets.own.labels",
            {"family": "sevennet", "checkpiont": "7net-0", "checkpoint": "7net-0"},
            ["datasets.own.labels.checkpiont: unknown key; did you mean 'checkpoint'"],
        ),
        (
            "datasets.own",
            STRUCTURES | {"keys": {"energy": "E"}},
            ["datasets.own: keys.energy asks for labels of the files, but labels is false"],
        ),
        (
            "datasets.all",
            {"source": "joined", "of": ["own", "foundation"]},
            ["datasets.all.of: the labels of 'own' (unknown) and of 'foundation' (sevennet"],
        ),
        (
            "datasets",
            MINIMAL["datasets"] | {"a": JOINED | {"of": ["b"]}, "b": JOINED | {"of": ["a"]}},
            ["datasets.a.of: 'a' would be made from itself"],
        ),
        ("downstream", {"baselines": ["scrach"]}, ["unknown value 'scrach'", "'scratch'"]),
        ("models.bad name", {"family": "sevennet", "checkpoint": "x"}, ["bad name"]),
    ],
)
def test_a_mistake_is_one_line_with_key_value_and_mend(path, value, parts):
    with pytest.raises(UserError) as caught:
        parse_config(changed(path, value), "my.yaml")
    message = str(caught.value)
    assert message.startswith("my.yaml: ")
    for part in parts:
        assert part in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("sections", "where"),
    [
        ({"recovery": {"dataset": "own"}}, "recovery.dataset"),
        ({"downstream": {"datasets": ["own"], "stage": "pruned"}}, "downstream.datasets"),
        (
            {"distillation": {"dataset": "own", "label_fraction": 0.5}},
            "distillation.label_fraction",
        ),
        ({"scoring": {"dataset": "own"}, "sweep": {"criteria": ["taylor"]}}, "sweep.criteria"),
    ],
)
def test_structures_without_labels_are_used_where_none_are_needed(sections, where):
    content = changed("datasets.own", STRUCTURES)
    with pytest.raises(UserError, match=f"^config: {where}.*: 'own' has no labels") as caught:
        parse_config(content | sections)
    assert "datasets.own.labels" in str(caught.value)
    labels = {"family": "sevennet", "checkpoint": "7net-0"}
    content["datasets"]["labelled"] = {**STRUCTURES, "labels": labels}
    section, value = next(iter(sections.items()))
    names = {"dataset": "labelled"} if "dataset" in value else {"datasets": ["labelled"]}
    assert parse_config(content | sections | {section: value | names})
    unlabelled = {"dataset": "own"}
    uses = dict.fromkeys(("scoring", "compensation", "distillation", "evaluation"), unlabelled)
    assert parse_config(content | uses | {"sweep": {"criteria": ["fisher"]}})


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"evaluation": {"dataset": "p"}}, "evaluation.dataset: 'p' has no test split"),
        (
            {"recovery": {"dataset": "p"}, "downstream": {"datasets": ["own", "p"]}},
            "downstream.datasets: 'p' has no test split, because perturbed structures are only "
            "used for training; use its source, 'own'",
        ),
    ],
)
def test_perturbed_structures_test_nothing(sections, message):
    content = changed("datasets.p", PERTURBED)
    with pytest.raises(UserError) as caught:
        parse_config(content | sections)
    assert message in str(caught.value)
    used = {"scoring": {"dataset": "p"}, "distillation": {"dataset": "p"}}
    assert parse_config(content | used).datasets["p"].keep_unperturbed


def test_joined_datasets_are_what_their_members_are():
    labels = {"family": "sevennet", "checkpoint": "SevenNet-L3I5"}  # as foundation's
    datasets = {
        "cells": {**STRUCTURES, "labels": labels},
        "p": {**PERTURBED, "labels": labels},
        "all": {**JOINED, "of": ["foundation", "cells", "p"]},
        "more": {**JOINED, "of": ["all", "cells"]},
        "perturbed": {**JOINED, "of": ["p"]},
        "bare": {**JOINED, "of": ["structures"]},
        "structures": STRUCTURES,
    }
    content = changed("datasets", MINIMAL["datasets"] | datasets)
    used = {"scoring": {"dataset": "more"}, "evaluation": {"dataset": "all"}}
    assert used_datasets(parse_config(content | used))["cells"] == [
        *("source of all", "source of more")
    ]
    for sections, message in (
        (
            {"evaluation": {"dataset": "perturbed"}},
            "'perturbed' has no test split, .*'own'",
        ),
        ({"recovery": {"dataset": "bare"}}, "recovery.dataset: 'bare' has no labels"),
    ):
        with pytest.raises(UserError, match=message):
            parse_config(content | sections)


def test_dynamics_need_a_dataset_with_a_test_part():
    content = copy.deepcopy(MINIMAL)
    content["evaluation"]["dynamics"] = {"datasets": ["owm"]}
    with pytest.raises(UserError, match=r"evaluation\.dynamics\.datasets: no dataset 'owm'; .*own"):
        parse_config(content)
    content["datasets"]["owm"] = PERTURBED
    with pytest.raises(UserError, match=r"evaluation\.dynamics\.datasets: 'owm' has no test split"):
        parse_config(content)


def test_all_mistakes_are_told_at_once():
    content = changed("scoring.structures", 0)
    content["nmae"] = content.pop("name")
    with pytest.raises(UserError) as caught:
        parse_config(content, "my.yaml")
    assert len(str(caught.value).splitlines()) == 3


def test_files_that_are_no_config(tmp_path):
    with pytest.raises(UserError, match=r"absent\.yaml: cannot be read"):
        load_config(tmp_path / "absent.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1, 2")
    with pytest.raises(UserError, match=r"bad\.yaml: not a YAML file"):
        load_config(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(UserError, match=r"list\.yaml: the file must contain keys"):
        load_config(tmp_path / "list.yaml")


def test_a_config_survives_yaml(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(MINIMAL))
    assert load_config(path) == parse_config(MINIMAL)


SCRATCH = {"family": "escn", "untrained": {"lmax": 1}, "training": {"dataset": "foundation"}}


def test_a_model_may_be_trained_from_scratch():
    model = parse_config(changed("models", {"small": SCRATCH})).models["small"]
    assert model.untrained == {"lmax": 1} and model.training.steps == 2000
    assert model.checkpoint is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"checkpoint": "7net-0"}, "models.small: give either a checkpoint or, to train"),
        ({"untrained": None}, "models.small: give either a checkpoint or, to train"),
        ({"training": None}, "models.small: untrained and training belong together"),
        ({"training": {}}, "models.small.training.dataset: give the dataset to train on"),
        ({"training": {"dataset": "fundation"}}, "no dataset 'fundation'; did you mean"),
        ({"sha256": "0" * 64}, "sha256 only applies to a checkpoint"),
    ],
)
def test_mistakes_about_training_from_scratch(changes, message):
    with pytest.raises(UserError, match=message):
        parse_config(changed("models", {"small": SCRATCH | changes}))


def test_labels_come_from_a_checkpoint():
    content = changed("datasets.foundation.labels", {"family": "escn", "untrained": {}})
    with pytest.raises(UserError, match=r"foundation\.labels\.(checkpoint|untrained)"):
        parse_config(content)


@pytest.mark.parametrize("name", ["data", "Report", "archives"])
def test_models_are_not_named_like_what_lies_beside_them(name):
    content = changed("models", {name: MINIMAL["models"]["sevennet-0"]})
    with pytest.raises(UserError, match=f"models.{name}: the name is reserved for results/study"):
        parse_config(content)
    content["models"] = MINIMAL["models"]
    content["datasets"] = MINIMAL["datasets"] | {name: MINIMAL["datasets"]["own"]}
    assert name in parse_config(content).datasets


def test_a_study_is_not_named_like_the_logs_of_downloads():
    with pytest.raises(UserError, match="name: 'downloads' is reserved"):
        parse_config(MINIMAL | {"name": "downloads"})


@pytest.mark.parametrize(
    ("path", "first", "value"),
    [
        ("models.Sevennet-0", "models.sevennet-0", MINIMAL["models"]["sevennet-0"]),
        ("datasets.OWN", "datasets.own", MINIMAL["datasets"]["own"]),
        (
            "sweep.explicit",
            "sweep.explicit.a",
            {"a": {"irreps": "8x0e"}, "A": {"irreps": "16x0e"}},
        ),
    ],
)
def test_names_differ_in_more_than_the_case_of_letters(path, first, value):
    with pytest.raises(UserError, match=f"differs from {first} only by case"):
        parse_config(changed(path, value))


def test_no_archive_is_that_of_two_models():
    content = changed("sweep", {"explicit": {"b": {"irreps": "8x0e"}}, "criteria": ["taylor"]})
    model = MINIMAL["models"]["sevennet-0"]
    content["models"] = {"m": model, "m_taylor-b": model}
    parse_config(content)
    content["sweep"]["explicit"]["b_taylor-b"] = {"irreps": "8x0e"}
    with pytest.raises(UserError, match=r"models.m_taylor-b: with the plan taylor-b its archive"):
        parse_config(content)


@pytest.mark.parametrize("directory", ["down{loads}", "down\nloads", "a\tb"])
def test_downloads_go_to_a_plain_directory(directory):
    with pytest.raises(UserError, match=r"downloads.directory: braces are wildcards"):
        parse_config(changed("downloads", {"directory": directory}))


def test_the_home_directory_may_be_written_as_a_tilde(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    content = changed("downloads", {"directory": "~/files/", "mirror": "~/mirror"})
    content["models"]["own"] = {"family": "mace", "checkpoint": "~/my.model"}
    config = parse_config(content)
    assert config.downloads.directory == "/home/me/files"
    assert config.downloads.mirror == "/home/me/mirror"
    assert config.models["own"].checkpoint == "/home/me/my.model"


def test_refinement_follows_the_last_training_before_it():
    settings = {"dataset": "foundation", "of": "silicon", "temperatures": [300]}
    taught = make_config(refinement=settings)
    assert taught.refinement_start.name == "distilled"
    assert [stage.name for stage in taught.stages()][-2:] == ["refined", "recovered-int8"]
    assert make_config(refinement=settings, distillation=None).refinement_start.name == "recovered"
    bare = make_config(
        refinement=settings, distillation=None, recovery=None, quantization=None, downstream=None
    )
    assert bare.refinement_start == bare.training_start
    for wrong, message in (
        ({"of": "nothing"}, "refinement.of: no dataset 'nothing'"),
        ({"dataset": None}, "refinement.dataset: give the dataset"),
        ({"dataset": "nothing"}, "refinement.dataset: no dataset"),
    ):
        with pytest.raises(UserError, match=message):
            make_config(refinement=settings | wrong)
