"""A validation: all checks, one after another, each with its share of the time."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.calculator import Calculator

from irrepress.core.errors import UserError
from irrepress.core.files import read_json, write_json
from irrepress.evaluation.physics import crystals, frame_errors, runs, short_range
from irrepress.evaluation.physics.case import (
    Case,
    Clock,
    Found,
    NotDone,
    NotFinite,
    TimedCalculator,
    Values,
    has_stress,
)
from irrepress.evaluation.physics.config import ValidationSettings
from irrepress.evaluation.physics.measurements import Measurements, Outcome, Sample
from irrepress.evaluation.physics.verdicts import Verdict

_logger = logging.getLogger(__name__)

Judge = Callable[[Values, Mapping[str, Values], ValidationSettings], Iterator[Found]]


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: its name, also in files.
        title: what it measures, in messages.
        share: of the time, relative to others.
        measure: measures it with a model.
        judge: compares values of a model with its parent's.
        crystals_only: whether it needs a structure that is periodic in all directions.
        essential: whether a model is not proven without it.
        alone: whether a model can be judged where its parent could not be measured.

    Example:
        >>> [check.name for check in checks(ValidationSettings())][:2]
        ['relaxed', 'extensivity']
    """

    name: str
    title: str
    share: float
    measure: Callable[[Case], Values]
    judge: Judge
    crystals_only: bool = False
    essential: bool = False
    alone: bool = False


def checks(settings: ValidationSettings) -> list[Check]:
    """Return the checks in their order: quick ones first, so that dynamics have what is left."""
    found = [
        Check("relaxed", "relaxed structure", 10, crystals.measure_relaxed, crystals.judge_relaxed),
        Check(
            "extensivity",
            "energy of two copies",
            1,
            short_range.measure_extensivity,
            short_range.judge_extensivity,
        ),
        Check(
            "diatomics",
            "holes at short range",
            4,
            short_range.measure_diatomics,
            short_range.judge_diatomics,
        ),
        Check(
            "cutoff",
            "energy across the cutoff",
            3,
            short_range.measure_cutoff,
            short_range.judge_cutoff,
        ),
        Check("eos", "equation of state", 8, crystals.measure_eos, crystals.judge_eos, True),
        Check(
            "elasticity",
            "elastic constants",
            6,
            crystals.measure_elasticity,
            crystals.judge_elasticity,
            True,
        ),
        Check("phonons", "phonons", 18, crystals.measure_phonons, crystals.judge_phonons, True),
        Check("volume", "volume in NPT", 12, runs.measure_volume, runs.judge_volume, True),
    ]
    for temperature in settings.temperatures:
        given: dict[str, Any] = {"temperature": temperature}
        found += [
            Check(
                f"dynamics {temperature:g} K",
                f"dynamics at {temperature:g} K",
                35,
                partial(runs.measure_dynamics, **given),
                partial(runs.judge_dynamics, **given),
                essential=True,
                alone=True,
            ),
            Check(
                f"errors {temperature:g} K",
                f"errors on new dynamics at {temperature:g} K",
                5,
                partial(frame_errors.measure_errors, **given),
                partial(frame_errors.judge_errors, **given),
                essential=True,
            ),
        ]
    return found


@dataclass(frozen=True)
class Kept:
    """A file of what was measured so far, from which an interrupted validation goes on.

    Attributes:
        path: the file.
        key: what it was measured with; a file of another key is not used.

    Example:
        >>> import tempfile
        >>> kept = Kept(Path(tempfile.mkdtemp()) / "kept.json", {"seed": 1})
        >>> kept.write({"Cu": {"eos": Outcome(values={"bulk_modulus": 140.0})}})
        >>> kept.read()["Cu"]["eos"].values
        {'bulk_modulus': 140.0}
    """

    path: Path
    key: dict[str, Any]

    def read(self) -> dict[str, dict[str, Outcome]]:
        """Return what the file holds; nothing if there is none, or it belongs to something else."""
        with suppress(UserError):
            content = read_json(self.path)
            if content.get("key") == self.key:
                return {
                    name: {check: Outcome.model_validate(each) for check, each in found.items()}
                    for name, found in content["outcomes"].items()
                }
        return {}

    def write(self, outcomes: Mapping[str, Mapping[str, Outcome]]) -> None:
        """Write what was measured so far."""
        content = {
            name: {check: each.model_dump() for check, each in found.items()}
            for name, found in outcomes.items()
        }
        write_json(self.path, {"key": self.key, "outcomes": content})


def measure(
    samples: list[Sample],
    calculator: Calculator,
    settings: ValidationSettings,
    *,
    minutes: float,
    cutoff: float,
    seed: int,
    parent: Measurements | None = None,
    kept: Kept | None = None,
) -> dict[str, dict[str, Outcome]]:
    """Measure structures with a model; what fails ends no other check.

    Args:
        samples: the structures.
        calculator: computes energies, forces and stresses, as users of the model do.
        settings: settings of the validation.
        minutes: time limit for all.
        cutoff: cutoff radius of the model in Å.
        seed: seed for velocities and thermostats.
        parent: what was measured with the parent; None if the model is the parent. What it lacks
            is not measured.
        kept: where each result is kept as it is measured.

    Returns:
        Outcomes by structure and check.
    """
    outcomes = {} if kept is None else kept.read()
    spent = sum(each.seconds for found in outcomes.values() for each in found.values())
    total = Clock(max(60 * minutes - spent, 0.0))
    timed = TimedCalculator(calculator, total)
    for place, sample in enumerate(samples):
        found = outcomes.setdefault(sample.name, {})
        clock = Clock(total.left / (len(samples) - place))
        own = {name: each.values for name, each in found.items() if each.values is not None}
        known = None if parent is None else parent.values(sample.name)
        remaining = [check for check in checks(settings) if check.name not in found]
        while remaining:
            share = remaining[0].share / sum(check.share for check in remaining)
            check = remaining.pop(0)
            limit = Clock(max(clock.left * share, 0.0))
            timed.clock = limit
            timed.reset()
            case = Case(sample.to_atoms(), timed, cutoff, settings, seed, own, known, limit)
            outcome = _left_out(check, case) or _measured(check, case)
            _tell(sample.name, check, outcome)
            found[check.name] = outcome
            if outcome.values is not None:
                own[check.name] = outcome.values
            if kept is not None:
                kept.write(outcomes)
    return outcomes


def _left_out(check: Check, case: Case) -> Outcome | None:
    """Return why a check is left out; None if it is to be done."""
    if check.crystals_only and not has_stress(case.atoms):
        return Outcome(not_done="only for structures that are periodic in all directions")
    if case.parent is not None and check.name not in case.parent and not check.alone:
        return Outcome(not_done="the parent has no values to compare with")
    return None


def _measured(check: Check, case: Case) -> Outcome:
    """Measure, and turn whatever goes wrong into a reason."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of libraries, on fits; figures tell
            values = check.measure(case)
        return Outcome(values=values, seconds=case.clock.spent)
    except NotDone as error:
        return Outcome(not_done=str(error), seconds=case.clock.spent)
    except NotFinite as error:
        return Outcome(failed=str(error), seconds=case.clock.spent)
    except ImportError as error:
        mend = "pip install 'irrepress[validation]'"
        reason = f"this Python lacks the package {error.name!r}; run {mend}"
        return Outcome(not_done=reason, seconds=case.clock.spent)
    except Exception as error:  # libraries raise many: no fit, atoms too close, no neighbours
        _logger.info("%s", check.title, exc_info=True)
        reason = f"{type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"
        return Outcome(failed=reason, seconds=case.clock.spent)


def _tell(structure: str, check: Check, outcome: Outcome) -> None:
    done = f"not done: {outcome.reason}" if outcome.values is None else "measured"
    _logger.info("%s, %s: %s (%.1f s)", structure, check.title, done, outcome.seconds)


def judge(
    own: Mapping[str, Mapping[str, Outcome]],
    parent: Measurements,
    settings: ValidationSettings,
    *,
    alike: bool = True,
) -> list[Verdict]:
    """Compare what was measured with a model with its parent's values: one verdict a quantity.

    Args:
        own: what was measured with the model, by structure and check.
        parent: what was measured with its parent.
        settings: settings of the validation.
        alike: whether the model is to be like this parent. If it was trained on labels that the
            parent does not know, differences are told, and only what the model does by itself is
            judged.
    """
    verdicts = []
    for sample in parent.samples:
        known = parent.values(sample.name)
        of_parent = parent.outcomes.get(sample.name, {})
        for check in checks(settings):
            outcome = own[sample.name][check.name]
            before = of_parent.get(check.name, Outcome(not_done="it was not measured"))
            for compared in _compared(check, outcome, before, known, settings):
                found = compared if alike or compared.alone else _told_only(compared)
                verdicts.append(
                    Verdict(
                        structure=sample.name,
                        check=check.name,
                        quantity=found.quantity,
                        value=found.value,
                        unit=found.unit,
                        tolerance=found.tolerance,
                        within=found.within,
                        remark=found.remark,
                        essential=(check.essential if found.essential is None else found.essential),
                    )
                )
    return verdicts


def _told_only(found: Found) -> Found:
    """Return a comparison that is not judged."""
    if found.value is None:
        return replace(found, judged=None, essential=False)
    why = "not judged: the model learned from labels that this parent does not know"
    remark = "; ".join(filter(None, (why, found.remark)))
    return replace(found, tolerance=None, judged=None, essential=False, remark=remark)


def _compared(
    check: Check,
    own: Outcome,
    parent: Outcome,
    known: Mapping[str, Values],
    settings: ValidationSettings,
) -> Iterator[Found]:
    if own.values is not None and (parent.values is not None or check.alone):
        yield from check.judge(own.values, known, settings)
        if parent.values is None:
            yield Found(
                f"{check.title}, beside the parent",
                None,
                remark=f"parent: {parent.reason}",
                essential=False,
            )
    elif parent.values is None and own.failed is None:
        same = parent.not_done is not None and parent.not_done == own.not_done
        yield Found(check.title, None, remark=parent.reason if same else f"parent: {parent.reason}")
    elif own.failed is not None:
        could = "" if parent.values is None else "the parent could be measured; "
        remark = f"{could}{own.failed}"
        yield Found(check.title, None, remark=remark, judged=False)
    else:
        yield Found(check.title, None, remark=own.reason)


def what_was_cut(
    own: Mapping[str, Mapping[str, Outcome]], parent: Measurements, settings: ValidationSettings
) -> list[str]:
    """Return the runs that the time limits have cut, or that broke with the parent, one a line."""
    told = []
    for sample in parent.samples:
        for check in checks(settings):
            for who, outcomes in (("the parent", parent.outcomes), ("the model", own)):
                values = outcomes.get(sample.name, {}).get(check.name, Outcome()).values
                if values is None:
                    continue
                if broke := values.get("broke"):
                    if who == "the parent":
                        told.append(
                            f"{sample.name}, {check.title}: the parent itself breaks ({broke}); "
                            "choose a lower temperature, or start from another structure"
                        )
                    continue
                if parts := list(_parts_cut(check.name, values, settings)):
                    told.append(
                        f"{sample.name}, {check.title} with {who}: {', '.join(parts)}; cut by the "
                        "time limit"
                    )
    return told


def _parts_cut(check: str, values: Values, settings: ValidationSettings) -> Iterator[str]:
    """Yield the parts of a run that are shorter than they were meant to be."""
    if "equilibration" not in values:
        return
    wanted = [("of the equilibration", values["equilibration"], settings.equilibration_picoseconds)]
    if check == "volume":
        wanted.append(("at constant pressure", values["picoseconds"], values["wanted"]))
    else:
        nve = values["nve"]["picoseconds"]
        wanted.append(("at constant energy", nve, settings.nve_picoseconds))
        wanted.append(("with the thermostat", values["picoseconds"], settings.picoseconds))
    for part, done, asked in wanted:
        if done < 0.95 * asked:  # a time is rounded to whole steps
            yield f"{done:.2g} of {asked:g} ps {part}"


def unique_names(structures: list[Atoms]) -> list[str]:
    """Return a name for each structure: its formula, numbered where several have the same.

    Example:
        >>> from ase.build import bulk
        >>> unique_names([bulk("Cu"), bulk("Ag"), bulk("Cu")])
        ['Cu', 'Ag', 'Cu-2']
    """
    names: list[str] = []
    for atoms in structures:
        formula = atoms.get_chemical_formula()
        count = sum(name.split("-")[0] == formula for name in names)
        names.append(formula if count == 0 else f"{formula}-{count + 1}")
    return names
