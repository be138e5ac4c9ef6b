"""Notes that readers need before the numbers: failures, and changes made to energies."""

from collections.abc import Iterator

from irrepress.evaluation.physics.verdicts import Result
from irrepress.evaluation.records import Metrics
from irrepress.report.study import Study
from irrepress.report.text import listing, number, plural


def not_passed(study: Study) -> list[str]:
    """Return the checks that models have not passed, a text for every such model."""
    return [
        f"{name}: {', '.join(failures)}"
        for name, metrics in _measured(study)
        if metrics.checks is not None and (failures := metrics.checks.failures())
    ]


def unstable(study: Study) -> list[str]:
    """Return what speaks against dynamics with models, a text for every such run."""
    return [
        f"{run.plan}, {run.name} on {run.measured.formula} of {run.measured.dataset}: "
        f"{'; '.join(failures)}"
        for run in study.dynamics
        if (failures := run.measured.failures())
    ]


def not_proven(study: Study, result: Result) -> list[str]:
    """Return the models whose validation beside their parent ended so, a text for each.

    Args:
        study: the study.
        result: how it ended.
    """
    return [
        f"{each.title}: "
        + "; ".join([each.measured.summary(), *map(str, each.measured.failures())])
        for each in study.validations
        if each.measured.result is result
    ]


def failed_predictions(study: Study) -> list[str]:
    """Return the models whose predictions are not finite, a text for each."""
    found = []
    for name, metrics in _measured(study):
        if count := metrics.failures.structures:
            what = listing(list(metrics.failures.quantities)) or "values"
            found.append(
                f"{name}: the predicted {what} of {plural(count, 'structure')} of "
                f"{metrics.structures:,} in {metrics.dataset} are not finite, so that these "
                "quantities have no errors"
            )
    return found


def alignments(study: Study) -> list[str]:
    """Return how errors of energies were changed, a sentence for each way.

    Models of one parent share their constants, so that most sentences hold for many models.
    """
    found: dict[tuple[str, str], tuple[dict[str, float], list[str]]] = {}
    for name, metrics in _measured(study):
        aligned = metrics.alignment
        if aligned is None or aligned.told == "energies not aligned":
            continue
        constants = aligned.constants if aligned.applied else {}
        _, unaligned = found.setdefault((metrics.dataset, aligned.told), (constants, []))
        before = aligned.unaligned.get("energy_mae")
        if aligned.applied and before is not None:
            unaligned.append(f"{name} {number(1e3 * before)}")
    texts = []
    for (dataset, told), (constants, unaligned) in found.items():
        text = f"On {dataset}, {told}."
        if constants:
            values = ", ".join(f"{symbol} {energy:.2f}" for symbol, energy in constants.items())
            text += f" The constants are [eV]: {values}."
        if unaligned:
            text += (
                f" Without them, errors of energies would be [meV/atom]: {'; '.join(unaligned)}."
            )
        texts.append(text)
    return texts


def busy(study: Study) -> list[str]:
    """Return why times are rough, for models that were timed on a busy machine."""
    found: dict[str, list[str]] = {}
    for name, metrics in _measured(study):
        reason = metrics.cost.busy if metrics.cost else None
        if reason:
            found.setdefault(reason, []).append(name)
    return [f"{reason}: {'; '.join(names)}" for reason, names in found.items()]


def _measured(study: Study) -> Iterator[tuple[str, Metrics]]:
    """Name and metrics of every model, downstream ones after the others."""
    several = len(study.config.models) > 1
    for run in study.all_runs:
        name = f"{run.plan}, {run.name}"
        yield (f"{run.model}, {name}" if several else name), run.metrics
