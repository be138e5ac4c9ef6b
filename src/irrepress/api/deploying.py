"""Potentials in the form of other runtimes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from irrepress.api.frames import AnyPath, FramesLike
from irrepress.api.showing import Shown, Table, count
from irrepress.core.section import make_section
from irrepress.deploy.config import DeploySettings
from irrepress.deploy.deployment import Source, deploy
from irrepress.deploy.golden import choose_structures
from irrepress.deploy.records import Deployment
from irrepress.deploy.target import get_target

if TYPE_CHECKING:
    from irrepress.api.potential import Potential

COLUMNS = ("atoms", "time", "parent", "speed-up")


@dataclass(frozen=True, repr=False)
class Deployed(Shown):
    """A deployment that was made.

    Attributes:
        folder: where it lies.
        record: what it holds, how it was checked and how fast it is: ``deployment.json``.

    Example:
        >>> from irrepress.api.deploying import Deployed
        >>> record = Deployment(
        ...     target="native", runtime="the family's own package", family="sevennet",
        ...     model="model.pt", source="small", sha256="", elements=["Si"], cutoff=5.0, tested={},
        ...     tolerance={}, golden=["Si8"], checked="by check.py in sevenn 0.13.0",
        ... )
        >>> print(Deployed(Path("deployed"), record))
        small for the family's own package: deployed
        checked on 1 structure by check.py in sevenn 0.13.0
    """

    folder: Path
    record: Deployment

    def rows(self) -> list[list[str]]:
        """Return the times as texts, a row for each number of atoms."""
        record, found = self.record, []
        for atoms in record.sizes():
            own, parent = record.time(atoms, "deployed"), record.time(atoms, "parent")
            if own is not None:
                ratio = record.speedups().get(atoms)
                found.append(
                    [
                        f"{atoms:,}",
                        _milliseconds(own.seconds),
                        "none" if parent is None else _milliseconds(parent.seconds),
                        "none" if ratio is None else f"{ratio:.3g}x",
                    ]
                )
        return found

    def remarks(self) -> list[str]:
        """Return how it was checked, where it was timed, and what is to be known."""
        record = self.record
        told = [f"checked on {count(len(record.golden), 'structure')} {record.checked}"]
        if record.differences:
            parts = [
                f"{name} {value:.2g} {record.units[name]}"
                for name, value in record.differences.items()
            ]
            told[0] += f"; largest differences: {', '.join(parts)}"
        if record.times:
            threads = count(record.threads or 1, "thread")
            told.append(f"timed on {record.device}, {threads}, {record.machine}")
        if record.stopped:
            told.append(record.stopped)
        return told + list(record.notes)

    @property
    def title(self) -> str:
        """What was deployed for what, and where it lies."""
        return f"{self.record.source} for {self.record.runtime}: {self.folder}"

    def _table(self) -> Table:
        return Table(self.title, self.rows(), COLUMNS, self.remarks())


def deploy_potential(
    potential: Potential,
    to: str,
    out: AnyPath,
    *,
    check: FramesLike | None,
    against: Potential | None,
    lammps: str | None,
    overwrite: bool,
    settings: dict[str, Any],
) -> Deployed:
    """Write a potential for a runtime; see `irrepress.Potential.deploy`."""
    get_target(to)
    given = make_section(DeploySettings, "deploy", {"targets": [to], **settings})
    target = get_target(
        to, own_form=given.own_form, lammps=lammps, cuequivariance=given.cuequivariance
    )
    parent = None
    if given.minutes > 0:
        parent = against or potential.parent
    structures = None
    if check is not None:
        structures = choose_structures(potential._frames(check).store, given.structures)
    record = deploy(
        _source(potential),
        target,
        out,
        given,
        structures=structures,
        parent=None if parent is None else _source(parent),
        device=str(potential.device),
        overwrite=overwrite,
    )
    return Deployed(Path(out), record)


def _source(potential: Potential) -> Source:
    return Source(potential.model, potential.name, potential.card.content())


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:,.3g} ms"
