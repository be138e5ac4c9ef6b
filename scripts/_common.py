"""What every script of the workflow shares: its log, its errors, its models.

A script defines ``main(job)`` and ends with ``run(main, snakemake)``. All that it and the
packages below it print goes to the log of its rule. A mistake of the user ends it with one
line on the terminal and in the log; anything unexpected with a traceback in the log.
"""

import errno
import io
import logging
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

from _library import set_up
from irrepress.core.processes import end_with, is_first

_terminal = os.dup(2)  # stays the terminal when run() turns stderr to the log
# The job that the script runs for; none in tests.
_snakemake = getattr(sys.modules["__main__"], "snakemake", None)
_encoding, _stand_ins = sys.stderr.encoding, "backslashreplace"


def report_error(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Tell of an error that ends the script; takes the place of `sys.excepthook`."""
    log = str(_snakemake.log[0]) if _snakemake and _snakemake.log else ""
    step = f"rule {_snakemake.rule}" if _snakemake else "irrepress"
    # Known by their names, or those of what they derive from: importing them may be what fails.
    if {"UserError", "EnvironmentMistake"} & {each.__name__ for each in kind.__mro__}:
        message = f"{step}: {error}"
    elif (reason := _fault_of_the_machine(kind, error)) is not None:
        message = f"{step}: {reason}"
    elif issubclass(kind, ModuleNotFoundError):
        message = (
            f"{step}: this Python ({sys.executable}) lacks the package {error.name!r}; run "
            f"'{set_up('workflow')}', or run snakemake with --sdm conda"
        )
    else:
        message = f"{step}: unexpected {kind.__name__}: {error}; the traceback is in {log}"
    if is_first():  # ranks end together, most often for the same reason
        os.write(_terminal, f"{message}\n".encode(_encoding, _stand_ins))
    if log:
        with suppress(OSError):  # the disk may be full: the terminal has the message
            Path(log).parent.mkdir(parents=True, exist_ok=True)
            with open(log, "a", encoding="utf-8") as stream:
                if "traceback is in" in message:
                    traceback.print_exception(kind, error, trace, file=stream)
                stream.write(f"{message}\n")


def _fault_of_the_machine(kind: type[BaseException], error: BaseException) -> str | None:
    """Say what a user can mend outside the study; None for other errors."""
    if issubclass(kind, KeyboardInterrupt):
        return "interrupted"
    if kind.__name__ == "OutOfMemoryError":  # of torch
        first = str(error).split(". ")[0]
        return f"the GPU's memory is full ({first}); lower batch_size, or take a larger GPU"
    if issubclass(kind, MemoryError):
        return "the memory is full; lower batch_size, run fewer jobs at a time, or ask for more"
    if isinstance(error, OSError) and error.errno in _FAULTS:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}; {_FAULTS[error.errno]}, then run again"
    return None


_FAULTS = {
    errno.ENOSPC: "free space",
    errno.EDQUOT: "free space in your quota",
    errno.EROFS: "choose another directory (snakemake --directory)",
    errno.EACCES: "see to the permissions",
    errno.EPERM: "see to the permissions",
    errno.EIO: "see to the disk",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}

sys.excepthook = report_error  # before the imports below: a package may be missing

from _environment import (  # noqa: E402
    enter_the_familys_python,
    environment_of,
    leave_the_workflows_python,
    misfit,
)


class EnvironmentMistake(Exception):
    """A job runs in a Python that was not meant for it."""


if _snakemake is not None:
    enter_the_familys_python(_snakemake)
if (mistake := leave_the_workflows_python()) is not None:
    raise EnvironmentMistake(mistake)

from pydantic import TypeAdapter  # noqa: E402

from irrepress.catalogue.families import published_checkpoint  # noqa: E402
from irrepress.catalogue.model_ref import ModelRef  # noqa: E402
from irrepress.core.errors import UserError  # noqa: E402
from irrepress.core.files import sha256  # noqa: E402
from irrepress.core.terminal import READABLE, draw_on  # noqa: E402
from irrepress.data.checks import check_elements  # noqa: E402
from irrepress.data.config import Downloads, KeptLabels  # noqa: E402
from irrepress.data.label_shards import LabelOrigin, LabelShards  # noqa: E402
from irrepress.data.layout import StoreInfo  # noqa: E402
from irrepress.data.store import StructureStore  # noqa: E402
from irrepress.families import get_family  # noqa: E402
from irrepress.study.cards import Card, check_model  # noqa: E402
from irrepress.study.licences import labelled_licence  # noqa: E402
from irrepress.study.models import StudyModel  # noqa: E402
from irrepress.study.paths import ModelFolder  # noqa: E402

_stand_ins = READABLE
_logger = logging.getLogger(__name__)

# What stands for the checkpoint of a model that the study trains itself.
FROM_SCRATCH = "trained from scratch"


@dataclass(frozen=True)
class Job:
    """One job of the workflow, which reads what its rule names and nothing else.

    Attributes:
        snakemake: the object that Snakemake gives to scripts.
    """

    snakemake: Any

    @cached_property
    def inputs(self) -> Any:
        """The input files by name."""
        return self.snakemake.input

    @cached_property
    def outputs(self) -> Any:
        """The output files by name."""
        return self.snakemake.output

    @cached_property
    def wildcards(self) -> Any:
        """The wildcards by name."""
        return self.snakemake.wildcards

    @cached_property
    def params(self) -> Any:
        """The parameters by name."""
        return self.snakemake.params

    @cached_property
    def threads(self) -> int:
        """How many processes or threads the job may run at a time."""
        return self.snakemake.threads

    @cached_property
    def reference(self) -> StudyModel:
        """What the config says of the job's model, or of the model that labels its dataset."""
        return StudyModel.model_validate(self.params.model)

    @cached_property
    def device(self) -> Any:
        """The device that the config names: what the job computes with a model runs there."""
        from irrepress.core.devices import resolve_device  # some jobs have no torch

        return resolve_device(self.params.device)

    @cached_property
    def family(self) -> Any:
        """The adapter of the model's family."""
        return get_family(self.reference.family)

    @cached_property
    def labeller(self) -> Any:
        """The model that labels the job's dataset, on the job's device.

        Raises:
            UserError: as `labelling_model`.
        """
        model = labelling_model(self.reference, self.downloads)
        digest = sha256(checked_checkpoint(self.reference, self.downloads))
        return self.labeller_by(model, digest)

    def labeller_by(self, model: Any, checkpoint_sha256: str) -> Any:
        """Return a labeller by a model of the config, which keeps labels where the config says.

        Args:
            model: the model.
            checkpoint_sha256: SHA-256 of the file that it comes from.
        """
        from irrepress.evaluation.labeller import Labeller  # some jobs have no torch

        kept = KeptLabels.model_validate(self.params.kept_labels)
        origin = LabelOrigin(checkpoint_sha256, self.reference.modal, self.reference.dtype)
        shards = None if kept.directory is None else LabelShards(kept.directory, origin)
        return Labeller(model.to(self.device), labels_of(self.reference), shards)

    @cached_property
    def downloads(self) -> Downloads:
        """Where downloads lie."""
        return Downloads.model_validate(self.params.downloads)

    def section(self, kind: Any) -> Any:
        """Return the section of the config that the parameter ``settings`` holds.

        Args:
            kind: its type.
        """
        apart = getattr(self.params, "apart", {})
        return TypeAdapter(kind).validate_python({**self.params.settings, **apart})

    def load(self, path: str, **options: Any) -> Any:
        """Load a model of the study from its native file.

        Raises:
            UserError: it is another one than its card tells of.
        """
        check_model(path)
        return load_model(path, self.reference, **options)

    def open_store(self, path: str, model: Any) -> StructureStore:
        """Open a dataset that a model is to work on.

        Raises:
            UserError: the model does not know an element of the dataset; told here, before any
                work is done.
        """
        store = StructureStore(path)
        what = f"{path} and model {self.wildcards.model}"
        check_elements(store.elements, model.elements, what)
        return store

    def save(self, model: Any, stage: dict[str, Any], **options: Any) -> None:
        """Write a model that was made from the job's input, and its card.

        Args:
            model: the model.
            stage: what was done to it, for the card.
            **options: options of `Model.save`.
        """
        path = Path(self.outputs.model)
        model.save(path, **options)
        card = Card.load(self.inputs.card).derive(
            path,
            name=self.name,
            shape=model.shape(),
            parameters=model.parameter_count(),
            stage=stage,
            seed=self.params.seed,
        )
        card.save(self.outputs.card)

    @property
    def name(self) -> str:
        """What the job makes, within the study: ``sevennet-0/taylor-0.50/pruned``."""
        return name_of(self.outputs.model)


def name_of(path: str | Path) -> str:
    """Return what the model of a file is called within its study."""
    return ModelFolder.of(Path(path).parent).name


def checked_checkpoint(reference: ModelRef, downloads: Downloads) -> Path:
    """Return the file of a checkpoint of the config, after comparing its SHA-256.

    The file of a published one lies where the rule ``download`` has put it.

    Raises:
        UserError: no such checkpoint, or another SHA-256 than the config says.
    """
    published = None
    if not Path(reference.checkpoint).is_file():
        published = published_checkpoint(reference.family, reference.checkpoint)
    if published is None:
        path = get_family(reference.family).resolve(reference.checkpoint, licence=reference.licence)
    else:
        file, licence = published
        path = Path(downloads.directory) / reference.family / file.name
        _logger.info("%s: licence %s, %s", reference.checkpoint, licence.name, licence.url)
    if reference.sha256 and (found := sha256(path)) != reference.sha256:
        raise UserError(
            f"{path}: the SHA-256 is {found}, the config says {reference.sha256}; download the "
            "file again, or correct the config if you trust this one"
        )
    return path


def load_model(path: str | Path, reference: ModelRef, **options: Any) -> Any:
    """Load a model in the type that the config names."""
    import torch  # jobs of the workflow's own environment have none

    options.setdefault("dtype", getattr(torch, reference.dtype))
    return get_family(reference.family).load(path, modal=reference.modal, **options)


def labelling_model(reference: ModelRef, downloads: Downloads) -> Any:
    """Return the model that labels a dataset.

    Raises:
        UserError: as `checked_checkpoint`, or the checkpoint cannot be loaded.
    """
    return load_model(checked_checkpoint(reference, downloads), reference)


def labels_of(reference: ModelRef) -> str:
    """What stores, metrics and the report call the labels of a model of the config."""
    from irrepress.study.steps import labels_by  # some jobs have no torch

    checkpoint = reference.checkpoint or FROM_SCRATCH
    return labels_by(reference.family, checkpoint, reference.modal)


def labelled_info(info: StoreInfo, reference: ModelRef, source: str = "") -> StoreInfo:
    """Return the origin of structures that a model labels.

    Args:
        info: origin of the structures.
        reference: the model.
        source: what the structures are, if they are made from those of ``info``.
    """
    return replace(
        info,
        source=f"{source}: {info.source}" if source else info.source,
        licence=labelled_licence(info.licence, reference),
        level_of_theory=reference.modal or "as the labelling model",
        labels=labels_of(reference),
        reference_energies={},
    )


def run(main: Callable[[Job], None], snakemake: Any) -> None:
    """Run a script's ``main`` with its output in the log of the rule."""
    end_with(int(os.environ.get("IRREPRESS_WORKFLOW_PROCESS", 0)))
    draw_on(_terminal)
    _turn_output_to(Path(snakemake.log[0]))
    logging.basicConfig(
        level=logging.INFO if is_first() else logging.ERROR,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )
    if (mistake := misfit(environment_of(snakemake))) is not None:
        raise EnvironmentMistake(mistake)
    main(Job(snakemake))


def _turn_output_to(log: Path) -> None:
    """Write stdout and stderr to the log, what compiled code prints included."""
    log.parent.mkdir(parents=True, exist_ok=True)
    # Ranks append to what the first one began.
    flags = os.O_TRUNC if is_first() else 0
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | flags, 0o666)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    os.close(stream)
    for printed in (sys.stdout, sys.stderr):
        if isinstance(printed, io.TextIOWrapper):
            printed.reconfigure(encoding="utf-8")  # as logs are read
