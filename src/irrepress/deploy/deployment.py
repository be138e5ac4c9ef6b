"""Making a deployment: the folder with the model's file, its golden results, check and times."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from ase import Atoms

from irrepress.core.errors import UserError
from irrepress.core.files import (
    owner_mark,
    read_json,
    refuse_existing,
    remove_leftovers,
    sha256,
    write_json,
)
from irrepress.core.model import Model
from irrepress.deploy.config import DeploySettings
from irrepress.deploy.golden import (
    GOLDEN,
    made_structures,
    tolerance,
    write_golden,
)
from irrepress.deploy.lammps_input import write_input
from irrepress.deploy.records import DEPLOYMENT, TIMES, UNITS, Deployment
from irrepress.deploy.target import NATIVE, InLammps, Proof, Target, symbols_of
from irrepress.deploy.timing import Timed, machine, time_against_size

CARD = "card.json"


@dataclass(frozen=True)
class Source:
    """A model to deploy.

    Attributes:
        model: the model.
        name: what it is called.
        card: where it comes from, as plain data; None: not known.

    Example:
        >>> Source(model, "7net-0").card is None
        True
    """

    model: Model
    name: str
    card: Mapping[str, Any] | None = field(default=None, repr=False)


def deploy(
    source: Source,
    target: Target,
    folder: str | Path,
    settings: DeploySettings,
    *,
    structures: Sequence[Atoms] | None = None,
    parent: Source | None = None,
    device: str = "cpu",
    overwrite: bool = False,
) -> Deployment:
    """Deploy a model for a runtime, check it there, and time it.

    The folder appears when all is done and checked, and not before.

    Args:
        source: the model.
        target: the runtime.
        folder: the folder to make.
        settings: how many structures are made, and limits of the times.
        structures: what the model is checked on
            (`irrepress.deploy.golden.choose_structures`); None: structures of its elements are
            made.
        parent: what it is timed beside.
        device: where it is checked and timed.
        overwrite: whether a folder that is there is replaced.

    Raises:
        UserError: the runtime does not take the model, a package is missing, the folder is there,
            or the model does not compute in the runtime what it computes in its family's own code.
    """
    folder = Path(folder).absolute()  # scripts run in it
    refuse_existing(folder, overwrite)
    target.takes(source.model)
    folder.parent.mkdir(parents=True, exist_ok=True)
    mark = f".{folder.name}."
    remove_leftovers(folder.parent, mark)
    made = Path(tempfile.mkdtemp(prefix=f"{mark}{owner_mark()}", dir=folder.parent))
    try:
        made.chmod(0o755)
        record = _make(source, target, made, settings, structures, parent, device)
        record.save(made / DEPLOYMENT)
        if record.times:
            pd.DataFrame(record.rows()).to_csv(made / TIMES, index=False)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return record


def _make(
    source: Source,
    target: Target,
    folder: Path,
    settings: DeploySettings,
    structures: Sequence[Atoms] | None,
    parent: Source | None,
    device: str,
) -> Deployment:
    model = source.model
    model.save(folder / NATIVE)
    calculator = model.family.calculator(folder / NATIVE, device=device, modal=model.modal)
    if structures is None:
        structures = made_structures(model, calculator)[: settings.structures]
    golden = write_golden(folder / GOLDEN, structures, calculator)
    digest = sha256(folder / NATIVE)
    family = model.family.name
    target.write_folder(model, folder)
    record = Deployment(
        target=target.name,
        runtime=target.runtime,
        family=family,
        model=target.file,
        source=source.name,
        sha256=digest,
        modal=model.modal,
        elements=symbols_of(model),
        cutoff=model.cutoff,
        tested=target.tested(family),
        units=UNITS,
        tolerance=tolerance(golden),
        golden=[atoms.get_chemical_formula() for atoms in golden],
        checked="not yet",
        device=device,
        machine=machine(),
    )
    record.save(folder / DEPLOYMENT)
    if source.card is not None:
        write_json(folder / CARD, source.card)
    if isinstance(target, InLammps):
        write_input(folder, golden[0], target, family)
    proof = target.proof(model, folder)
    differences = _checked(folder, proof, device)
    timed, notes = Timed(), list[str]()
    if settings.minutes > 0 and proof.timed:
        timed, notes = _times(folder, target, settings, golden, parent, device, proof)
    return record.model_copy(
        update={
            "checked": proof.told,
            "differences": differences,
            "threads": timed.threads,
            "times": timed.times,
            "stopped": timed.stopped,
            "notes": [*target.notes(model), *notes],
        }
    )


def _checked(folder: Path, proof: Proof, device: str) -> dict[str, float]:
    """Run check.py as users do, and return the largest differences."""
    if proof.stand_in is None:
        return _run_check(folder, proof.environment, device)
    script = folder / "runtime.py"
    text = script.read_text(encoding="utf-8")
    script.write_text(proof.stand_in, encoding="utf-8")
    try:
        return _run_check(folder, proof.environment, device)
    finally:
        script.write_text(text, encoding="utf-8")


def _run_check(folder: Path, environment: Mapping[str, str], device: str) -> dict[str, float]:
    found = folder / ".check.json"
    done = subprocess.run(
        [sys.executable, "check.py", "--device", device, "--json", str(found)],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        errors="replace",
    )
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        told = next((line for line in lines if line.startswith("check:")), lines[-1])
        raise UserError(f"deploy: {told.removeprefix('check: ')}; nothing was written")
    differences = {name: value for name, (value, _) in read_json(found).items()}
    found.unlink()
    return differences


def _times(
    folder: Path,
    target: Target,
    settings: DeploySettings,
    golden: Sequence[Atoms],
    parent: Source | None,
    device: str,
    proof: Proof,
) -> tuple[Timed, list[str]]:
    """Time the deployment, beside the parent's if the runtime takes the parent."""
    cell = next((atoms for atoms in golden if atoms.pbc.all()), None)
    if cell is None:
        return Timed(), ["not timed: none of the golden structures is a crystal"]
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="irrepress-") as temporary:
        folders = {"deployed": folder}
        if parent is not None:
            try:
                target.takes(parent.model)
                parent.model.save(Path(temporary) / NATIVE)
                target.write_folder(parent.model, Path(temporary))
                folders["parent"] = Path(temporary)
            except UserError as error:
                notes.append(f"{parent.name} was not timed: {error}")
        plain = Atoms(cell.numbers, positions=cell.positions, cell=cell.cell, pbc=True)
        timed = time_against_size(
            folders, plain, settings, device=device, environment=proof.environment
        )
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    return timed, notes
