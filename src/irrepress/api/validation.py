"""Potentials beside their parents in what users do with them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from irrepress.api.frames import AnyPath, FramesLike
from irrepress.api.showing import Shown, Table
from irrepress.core.calculator import ModelCalculator
from irrepress.core.errors import UserError
from irrepress.core.files import read_json, write_json
from irrepress.core.section import make_section
from irrepress.evaluation.physics.config import ValidationSettings
from irrepress.evaluation.physics.measurements import Measurements
from irrepress.evaluation.physics.validation import (
    Measured,
    choose_samples,
    measure_parent,
    validate,
)
from irrepress.evaluation.physics.verdicts import COLUMNS, VALIDATION, Validated

if TYPE_CHECKING:
    from irrepress.api.potential import Potential

_REFERENCE, _PARTIAL = "validation-reference.json", ".partial"


@dataclass(frozen=True, repr=False)
class Proof(Shown):
    """What a validation has found: one verdict a line.

    Attributes:
        record: everything that was measured; the content of ``validation.json``.

    Example:
        >>> proof = Proof(Validated(
        ...     model="small.pt", parent="7net-0", sha256="", code="sevenn", device="cpu",
        ...     threads=1, seed=0, settings={}, seconds=1.0, structures=[], verdicts=[], cut=[],
        ...     curves={},
        ... ))
        >>> print(proof)
        small.pt beside 7net-0
        incomplete: 0 of 0 quantities within tolerance
    """

    record: Validated

    @property
    def passed(self) -> bool:
        """Whether all is within the tolerances, and what is essential was judged."""
        return self.record.passed

    @property
    def title(self) -> str:
        """What was compared with what."""
        return f"{self.record.model} beside {self.record.parent}"

    def remarks(self) -> list[str]:
        """Return what was cut for time, and the result in one line."""
        return [*self.record.cut, self.record.summary()]

    def _table(self) -> Table:
        return Table(self.title, list(self.record.rows()), COLUMNS, self.remarks())


def validate_potential(
    potential: Potential,
    structures: FramesLike,
    *,
    against: Potential | None,
    temperatures: Sequence[float],
    seed: int,
    work_dir: AnyPath | None,
    settings: dict[str, Any],
) -> Proof:
    """Measure a potential beside its parent; see `irrepress.Potential.validate`."""
    parent = against or potential.parent
    if parent is None:
        raise UserError(
            f"validate: {potential.name} was not pruned, as far as its card says; name what it is "
            "compared with (against=..., or --against on the command line)"
        )
    asked = {"temperatures": list(temperatures), **settings}
    given = make_section(ValidationSettings, "validate", asked)
    samples = choose_samples(potential._frames(structures).store, given.structures)
    with tempfile.TemporaryDirectory(prefix="irrepress-") as temporary:
        folder = Path(work_dir or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        own, other = _as_users_run(potential), _faster(parent)
        key = other.key(samples, given, seed)
        reference = _known(folder / _REFERENCE, key)
        if reference is None:
            kept = folder / f"{_REFERENCE}{_PARTIAL}"
            reference = measure_parent(samples, other, given, seed=seed, kept=kept)
            write_json(folder / _REFERENCE, {"key": key, "measured": reference.content()})
            kept.unlink(missing_ok=True)
        kept = folder / f"{VALIDATION}{_PARTIAL}"
        validated = validate(own, reference, given, kept=kept)
        validated.save(folder / VALIDATION)
        kept.unlink(missing_ok=True)
    return Proof(validated)


def _known(path: Path, key: dict[str, Any]) -> Measurements | None:
    """Return what an earlier call measured with the parent; None if it was something else."""
    if not path.is_file():
        return None
    content = read_json(path)
    return Measurements.model_validate(content["measured"]) if content.get("key") == key else None


def _as_users_run(potential: Potential) -> Measured:
    return Measured(
        name=potential.name,
        sha256=potential.card.sha256,
        calculator=potential.calculator(),
        cutoff=potential.model.cutoff,
        code=potential.model.family.own_code(),
        device=str(potential.device),
    )


def _faster(potential: Potential) -> Measured:
    calculator = ModelCalculator(potential.model)
    return replace(_as_users_run(potential), calculator=calculator, code=calculator.code)
