"""Times in the runtimes of deployments, which budgets may be measured in."""

import copy

import pytest
import torch
from ase.build import bulk

from irrepress.core.errors import UserError
from irrepress.deploy import target as targets
from irrepress.deploy.runtimes import check_runtime, code_of, groups_taken, takes
from irrepress.deploy.target import get_target
from irrepress.deploy.timing import turns_in
from irrepress.evaluation.config import Evaluation
from irrepress.evaluation.metrics import measure_cost
from irrepress.evaluation.shapes import make_time_table
from irrepress.evaluation.timing import reference_crystal, time_side_by_side
from irrepress.pruning.latency import TimeTable


def test_a_runtime_that_lacks_the_family_is_refused_with_those_that_have_it(small_sevennet):
    check_runtime(small_sevennet, "native", "runtime")
    check_runtime(small_sevennet, "torchscript", "runtime")
    with pytest.raises(
        UserError, match=r"^--runtime: symmetrix runs no models of sevennet; take native or torch"
    ):
        check_runtime(small_sevennet, "symmetrix", "--runtime")


def test_a_package_that_is_missing_is_named_with_what_installs_it(small_sevennet, monkeypatch):
    monkeypatch.setattr(targets, "_has", lambda module: False)
    with pytest.raises(
        UserError, match=r"torchscript needs the package torch, .* pip install torch"
    ):
        check_runtime(small_sevennet, "torchscript", "sweep.runtime")


def test_torchscript_takes_every_plan_of_its_families(small_sevennet):
    assert groups_taken(small_sevennet, "torchscript", "runtime") == small_sevennet.groups()
    assert takes(small_sevennet, "torchscript") and not takes(small_sevennet, "symmetrix")
    assert code_of(small_sevennet, "torchscript").endswith("TorchScript by irrepress")
    assert code_of(small_sevennet, "native") == small_sevennet.family.own_code()


def test_models_are_timed_in_turn_as_they_are_deployed(small_sevennet):
    crystal = reference_crystal(small_sevennet.elements, 8)
    models = [small_sevennet, small_sevennet]
    times = time_side_by_side(models, crystal, repeats=1, runtime="torchscript")
    assert times.rounds >= 3 and all(seconds > 0 for seconds in times.seconds)
    assert times.ratios[-1] == 1 and times.ratio_spreads[-1] == 0


def test_a_measured_model_has_its_time_there_beside_its_parents(small_sevennet, tmp_path):
    path = tmp_path / "model.pt"
    small_sevennet.save(path)
    settings = Evaluation(dataset="silicon", timing_atoms=8, timing_repeats=1)
    models = small_sevennet, copy.deepcopy(small_sevennet)
    plain = measure_cost(*models, settings, model_path=path)
    assert plain.deployed is None and "deployed" not in plain.model_dump()
    found = measure_cost(*models, settings, model_path=path, runtime="torchscript").deployed
    assert found.runtime == "torchscript" and found.code.startswith("torch ")
    assert found.time_ratio > 0 and found.parent_seconds > 0
    with pytest.raises(UserError, match=r"^sweep\.runtime: symmetrix runs no models of sevennet"):
        measure_cost(*models, settings, model_path=path, runtime="symmetrix")


def test_a_runtime_that_fails_says_so(small_sevennet, monkeypatch):
    """Such as one that runs out of memory: its process ends."""
    script = "def calculator(device):\n    raise SystemExit('no such device')\n"
    target = get_target("torchscript")
    monkeypatch.setattr(target, "script", lambda model: script)
    with turns_in(target, bulk("Si", cubic=True), device="cpu") as turn_of:
        with pytest.raises(UserError, match=r"torchscript: .* on 8 atoms \(no such device\); mend"):
            turn_of(small_sevennet)


def test_shapes_are_timed_in_the_runtime_and_say_so(small_sevennet, tmp_path):
    table = make_time_table(
        small_sevennet, shapes=3, atoms=8, repeats=1, seed=0, versions={}, runtime="torchscript"
    )
    assert len(table.shapes) == 3 and all(shape.seconds > 0 for shape in table.shapes)
    table.save(tmp_path / "shapes.json", small_sevennet.cost_terms())
    found = TimeTable.load(tmp_path / "shapes.json")
    assert found.timed_in["runtime"] == "torchscript"
    assert found.timed_in["code"].startswith(f"torch {torch.__version__.partition('+')[0]}")
    assert found.provenance["threads"] == torch.get_num_threads()


def test_tables_of_earlier_versions_are_of_the_familys_own_code():
    assert TimeTable([], {"threads": 1}).timed_in == {"runtime": "native", "code": None}
