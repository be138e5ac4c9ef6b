"""The two jobs of a validation: the parent's reference values, and a model beside them."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator

from irrepress.core.errors import UserError
from irrepress.data.store import StructureStore
from irrepress.evaluation.physics import suite
from irrepress.evaluation.physics.case import Values
from irrepress.evaluation.physics.config import ValidationSettings
from irrepress.evaluation.physics.distributions import pair_weights
from irrepress.evaluation.physics.measurements import Measurements, Outcome, Sample
from irrepress.evaluation.physics.verdicts import Validated

_logger = logging.getLogger(__name__)

# Points of a figure; more cannot be told apart.
_MOST_POINTS = 1500


@dataclass(frozen=True)
class Measured:
    """A model that is measured: a compressed one as its users run it, its parent as fast as it can.

    Attributes:
        name: its name or path.
        sha256: of its file.
        calculator: computes its energies, forces and stresses.
        cutoff: its cutoff radius in Å.
        code: what the calculator runs, such as "sevenn 0.13.0".
        device: where it runs.

    Example:
        >>> from ase.calculators.emt import EMT
        >>> Measured("emt", "", EMT(), 5.0, "ase", "cpu").cutoff
        5.0
    """

    name: str
    sha256: str
    calculator: Calculator
    cutoff: float
    code: str
    device: str

    def key(
        self, samples: list[Sample], settings: ValidationSettings, seed: int, parent: str = ""
    ) -> dict[str, Any]:
        """Return what measurements of the model depend on."""
        content = json.dumps([sample.model_dump() for sample in samples])
        return {
            "sha256": self.sha256,
            "parent": parent,
            "code": self.code,
            "device": self.device,
            "settings": settings.model_dump(mode="json", exclude={"tolerances"}),
            "seed": seed,
            "samples": hashlib.sha256(content.encode()).hexdigest(),
        }


def choose_samples(store: StructureStore, count: int) -> list[Sample]:
    """Choose the structures of a dataset that models are measured on.

    Of every composition and group the one with the smallest forces is taken, the first one if it
    has no labels; different compositions come first.

    Args:
        store: the dataset; all its parts serve, as errors are measured on new dynamics.
        count: largest number of structures.

    Raises:
        UserError: the dataset is empty.
    """
    best: dict[tuple[str, str], tuple[float, int]] = {}
    formulas: dict[tuple[str, str], str] = {}
    for index, structure in enumerate(store.iterate()):
        formula = Atoms(structure.numbers).get_chemical_formula()
        key = (formula, structure.group)
        size = float(np.nan_to_num(np.square(structure.forces).mean(), nan=np.inf))
        if key not in best or size < best[key][0]:
            best[key] = (size, index)
        formulas[key] = formula
    if not best:
        raise UserError(f"{store.path}: holds no structures to validate with")
    seen: dict[str, int] = {}
    order = []
    for place, key in enumerate(best):
        seen[formulas[key]] = seen.get(formulas[key], 0) + 1
        order.append((seen[formulas[key]], place, best[key][1]))
    chosen = [index for _, _, index in sorted(order)[:count]]
    if len(chosen) < len(best):
        _logger.info(
            "%s: %d of %d different structures are measured (structures: %d)",
            store.path,
            len(chosen),
            len(best),
            count,
        )
    atoms = [store[index].without_labels().to_atoms() for index in chosen]
    return [
        Sample.of(each, name, f"structure {index} of {store.path.stem}")
        for each, name, index in zip(atoms, suite.unique_names(atoms), chosen, strict=True)
    ]


def measure_parent(
    samples: list[Sample],
    parent: Measured,
    settings: ValidationSettings,
    *,
    seed: int,
    kept: Path | None = None,
) -> Measurements:
    """Measure the reference values of a parent, which all its models are compared with.

    Args:
        samples: the structures.
        parent: the parent.
        settings: settings of the validation.
        seed: seed for velocities and thermostats.
        kept: file that keeps each result as it is measured, from which a call goes on.
    """
    outcomes = suite.measure(
        samples,
        parent.calculator,
        settings,
        minutes=settings.parent_minutes,
        cutoff=parent.cutoff,
        seed=seed,
        kept=None if kept is None else suite.Kept(kept, parent.key(samples, settings, seed)),
    )
    return Measurements(
        model=parent.name,
        sha256=parent.sha256,
        code=parent.code,
        settings=settings.model_dump(mode="json"),
        seed=seed,
        samples=samples,
        outcomes=outcomes,
    )


def validate(
    model: Measured,
    parent: Measurements,
    settings: ValidationSettings,
    *,
    alike: bool = True,
    kept: Path | None = None,
) -> Validated:
    """Measure a model on what its parent was measured on, and compare.

    Args:
        model: the model.
        parent: the parent's reference values.
        settings: settings of the validation, those of the parent but for limits of time and
            tolerances.
        alike: see `irrepress.evaluation.physics.suite.judge`.
        kept: see `measure_parent`.
    """
    key = model.key(parent.samples, settings, parent.seed, parent.sha256)
    outcomes = suite.measure(
        parent.samples,
        model.calculator,
        settings,
        minutes=settings.minutes,
        cutoff=model.cutoff,
        seed=parent.seed,
        parent=parent,
        kept=None if kept is None else suite.Kept(kept, key),
    )
    validated = Validated(
        model=model.name,
        parent=parent.model,
        sha256=model.sha256,
        code=model.code,
        parent_code=parent.code,
        device=model.device,
        threads=torch.get_num_threads(),
        seed=parent.seed,
        settings=settings.model_dump(mode="json"),
        seconds=sum(each.seconds for found in outcomes.values() for each in found.values()),
        structures=[sample.described() for sample in parent.samples],
        verdicts=suite.judge(outcomes, parent, settings, alike=alike),
        cut=suite.what_was_cut(outcomes, parent, settings),
        curves={
            sample.name: curves_of(sample, outcomes[sample.name], parent.values(sample.name))
            for sample in parent.samples
        },
    )
    for line in (*validated.cut, *map(str, validated.failures()), validated.summary()):
        _logger.info("%s", line)
    return validated


def curves_of(
    sample: Sample, own: Mapping[str, Outcome], parent: Mapping[str, Values]
) -> dict[str, Any]:
    """Return the curves that figures show of a structure, of the model beside its parent."""
    values = {name: each.values for name, each in own.items() if each.values is not None}
    found: dict[str, Any] = {}
    weights = pair_weights(sample.to_atoms())
    for name in values:
        runs = (values[name], parent.get(name, {}))
        if name.startswith("dynamics ") and all("rdf" in each for each in runs):
            temperature = name.removeprefix("dynamics ")
            found[f"radial distribution at {temperature}"] = {
                "x": values[name]["rdf"]["r"],
                "own": _total(values[name]["rdf"], weights),
                "parent": _total(parent[name]["rdf"], weights),
            }
    if "eos" in values and "eos" in parent:
        found["equation of state"] = {
            "x": values["eos"]["volumes"],
            "own": values["eos"]["energies"],
            "parent_x": parent["eos"]["volumes"],
            "parent": parent["eos"]["energies"],
        }
    if "phonons" in values and "phonons" in parent:
        one, other = (np.ravel(each["phonons"]["frequencies"]) for each in (values, parent))
        thinned = slice(None, None, -(-len(one) // _MOST_POINTS))
        found["phonon frequencies"] = {"x": other[thinned].tolist(), "own": one[thinned].tolist()}
    return found


def _total(rdf: Values, weights: Mapping[str, float]) -> list[float]:
    total = sum(weight * np.array(rdf["pairs"][pair]) for pair, weight in weights.items())
    return np.round(total, 4).tolist()
