"""What the scripts of a validation share."""

from pathlib import Path

from ase.calculators.calculator import Calculator

from _common import Job, name_of
from irrepress.core.calculator import ModelCalculator
from irrepress.core.files import sha256
from irrepress.core.model import Model
from irrepress.evaluation.physics.validation import Measured
from irrepress.study.paths import ModelFolder


def as_users_run(job: Job) -> Measured:
    """Return the job's model with its family's own calculator on the saved file."""
    path = Path(job.inputs.model)
    calculator = job.family.calculator(path, device=str(job.device), modal=job.reference.modal)
    return _measured(job, job.load(path), calculator, job.family.own_code())


def as_fast_as_it_can(job: Job) -> Measured:
    """Return the job's model with irrepress's faster code, whose results are the same."""
    path = Path(job.inputs.model)
    model = job.load(path).to(job.device)
    calculator = ModelCalculator(model)
    return _measured(job, model, calculator, calculator.code)


def _measured(job: Job, model: Model, calculator: Calculator, code: str) -> Measured:
    path = Path(job.inputs.model)
    return Measured(
        name=name_of(path),
        sha256=sha256(path),
        calculator=calculator,
        cutoff=model.cutoff,
        code=code,
        device=str(job.device),
    )


def tuned_on(path: str) -> str | None:
    """Return the dataset that the model of a file was fine-tuned on; None if it was not."""
    return ModelFolder.of(Path(path).parent).dataset


def kept(output: str) -> Path:
    """Return the file that keeps results until a job is done: Snakemake removes its outputs."""
    return Path(f"{output}.partial")
