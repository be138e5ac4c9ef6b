"""Files of every version so far, each written by the code of its time: read, or refused once.

They tell of one small SevenNet model and its pruned copy. A new version of a record adds a file.
"""

import re
from pathlib import Path

import pytest

from irrepress.core.errors import UserError
from irrepress.core.plan import SCHEMA_VERSION as PLAN_VERSION
from irrepress.core.plan import Plan
from irrepress.core.records import RecordFile
from irrepress.data.layout import SCHEMA_VERSION as STORE_VERSION
from irrepress.data.store import StructureStore
from irrepress.data.summary.records import DatasetSummary
from irrepress.deploy.records import Deployment
from irrepress.evaluation.physics.records import MeasuredDynamics
from irrepress.evaluation.physics.verdicts import Validated
from irrepress.evaluation.records import Metrics, StageMetrics
from irrepress.pruning.latency import SCHEMA_VERSION as TIMES_VERSION
from irrepress.pruning.latency import TimeTable
from irrepress.pruning.scores import SCHEMA_VERSION as SCORES_VERSION
from irrepress.pruning.scores import Scores
from irrepress.study.cards import Card

FILES = Path(__file__).parents[1] / "records"


def present(kind: type[RecordFile]) -> int:
    return kind.model_fields["schema_version"].default


VERSIONS = {
    "card": present(Card),
    "deployment": present(Deployment),
    "dynamics": present(MeasuredDynamics),
    "metrics": present(Metrics),
    "plan": PLAN_VERSION,
    "scores": SCORES_VERSION,
    "shapes": TIMES_VERSION,
    "store": STORE_VERSION,
    "summary": present(DatasetSummary),
    "validation": present(Validated),
}


@pytest.mark.parametrize("record", VERSIONS)
def test_there_is_a_file_of_every_version(record):
    found = {int(re.match(r"\d+", path.stem.partition("-")[2])[0]) for path in files(record)}
    assert found == set(range(1, VERSIONS[record] + 1))


def files(record: str) -> list[Path]:
    return sorted(FILES.glob(f"{record}-*"))


def test_cards():
    card = Card.load(FILES / "card-1.json")
    assert card.name == "m/half/pruned" and card.parameters == 33835
    assert [stage["stage"] for stage in card.stages] == ["pruned"]


def test_metrics_of_the_present_version():
    metrics = StageMetrics.load(FILES / "metrics-2.json")
    assert metrics.cost.kept_blocks == 91 and metrics.cost.timing_rounds > 0
    assert metrics.errors.labels.forces_mae == pytest.approx(1.028, abs=1e-3)
    assert metrics.alignment.fitted_to == "the parent, train split"
    assert not metrics.checks.failures()


@pytest.mark.parametrize("version", [1, 2])
def test_metrics_without_cost_and_checks(version):
    metrics = Metrics.load(FILES / f"metrics-{version}-task.json")
    assert metrics.atoms == 4 and metrics.cost is None and metrics.checks is None
    assert metrics.errors.labels.forces_mae == pytest.approx(1.028, abs=1e-3)
    assert metrics.failures.structures == 0


@pytest.mark.parametrize("name", ["metrics-1", "metrics-1-aligned"])
@pytest.mark.parametrize("kind", [Metrics, StageMetrics])
def test_metrics_that_lack_checks_of_the_familys_own_code_are_to_be_measured_anew(name, kind):
    message = rf"{name}\.json: .*is 1, .* of the family's own code .*; delete .* run the workflow"
    with pytest.raises(UserError, match=message):
        kind.load(FILES / f"{name}.json")


def test_dynamics():
    run = MeasuredDynamics.load(FILES / "dynamics-1.json")
    assert (run.formula, run.picoseconds, run.failures()) == ("Cu4", 0.1, [])
    assert len(run.trace.energy) == len(run.trace.temperature) == 101


def test_deployments():
    record = Deployment.load(FILES / "deployment-1.json")
    assert record.target == "torchscript" and record.tested == {"torch": "2.13.0"}
    assert list(record.speedups()) == [8]


def test_validations():
    validated = Validated.load(FILES / "validation-1.json")
    assert not validated.passed
    assert [each.quantity for each in validated.failures()] == ["bulk modulus"]
    assert validated.summary() == "failed: 1 of 3 quantities within tolerance, 1 NOT, 1 not done"


@pytest.mark.parametrize(
    ("name", "cutoff", "edits"),
    [
        ("plan-1", None, ("what stays was written by hand",)),  # as nothing tells otherwise
        ("plan-1-cutoff", 4.5, ("what stays was written by hand",)),
        ("plan-1-made", 4.5, ()),
    ],
)
def test_plans(name, cutoff, edits):
    plan = Plan.load(FILES / f"{name}.json")
    assert (plan.kept_blocks(), plan.total_blocks()) == (91, 139)
    assert plan.provenance["criterion"] == "taylor"
    assert (plan.cutoff, plan.edits) == (cutoff, edits)


def test_scores():
    old, new = (Scores.load(FILES / f"scores-{version}.h5") for version in (2, 3))
    assert old.groups == new.groups
    assert old.provenance["parent_sha256"]
    for name, scores in new.of("taylor").items():
        assert old.of("taylor")[name] == pytest.approx(scores, rel=1e-4)


def test_scores_that_may_be_normalized_are_to_be_computed_anew():
    with pytest.raises(UserError, match=r"scores-1\.h5: .*version is 1, .*; delete .* score again"):
        Scores.load(FILES / "scores-1.h5")


def test_times_of_shapes():
    table = TimeTable.load(FILES / "shapes-1.json")
    assert table.provenance["atoms"] == 8
    assert all(shape.seconds > 0 for shape in table.shapes)


def test_summaries():
    assert DatasetSummary.load(FILES / "summary-1.json").structures == 6


def test_stores():
    assert len(StructureStore(FILES / "store-2.h5")) == 6
    with pytest.raises(UserError, match=r"store-1\.h5: .*version 1, .*; delete the file"):
        StructureStore(FILES / "store-1.h5")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("card-1", Card),
        ("dynamics-1", MeasuredDynamics),
        ("metrics-2", StageMetrics),
        ("metrics-2-task", Metrics),
        ("summary-1", DatasetSummary),
    ],
)
def test_what_is_read_is_written_again(name, kind, tmp_path):
    kind.load(FILES / f"{name}.json").save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == (FILES / f"{name}.json").read_text()
