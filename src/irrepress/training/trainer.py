"""A training run: inputs are checked first, killed runs resume, and the best weights are kept."""

import csv
import dataclasses
import hashlib
import json
import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from rich.console import Console

from irrepress.core.devices import resolve_device
from irrepress.core.errors import UserError
from irrepress.core.files import atomic_path
from irrepress.core.model import Model
from irrepress.core.processes import is_first
from irrepress.core.terminal import claimed
from irrepress.data.store import StructureStore
from irrepress.training.averaging import WarmedUpEMA
from irrepress.training.checkpoints import (
    BEST,
    LAST,
    RECENT,
    AtomicCheckpointIO,
    checkpoint_path,
    find_checkpoint,
    load_checkpoint,
)
from irrepress.training.checks import check_data, check_labels
from irrepress.training.config import OF_THE_MACHINE, Distillation, Precision, Training
from irrepress.training.data import TrainingData
from irrepress.training.features import FeatureGuide
from irrepress.training.interruption import Interruption
from irrepress.training.limits import make_limits
from irrepress.training.module import COLUMNS, STATE_KEY, Row, TrainingModule, is_finished
from irrepress.training.progress import TrainingProgress
from irrepress.training.ranks import cluster_environment, ranks_on_cores, strategy
from irrepress.training.targets import TeacherTargets

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training run.

    Attributes:
        model: the model with the weights of the best validation (averaged if ``ema`` is set), in
            eval mode, on the CPU, in the dtype of the input model.
        steps: number of optimizer steps taken.
        best_valid_loss: the lowest validation loss.
        kept_start: True if training did not improve on the initial weights, which ``model`` then
            has.
        seconds: training time in seconds, including the time before a resume.
        resumed_from: step from which this call resumed; 0 if it started from the beginning.

    Example:
        >>> import tempfile
        >>> work_dir = Path(tempfile.mkdtemp())
        >>> result = train(
        ...     model, store, Training(steps=1, batch_size=2), seed=0, device="cpu",
        ...     work_dir=work_dir, metrics_csv=work_dir / "training.csv",
        ... )
        >>> result.steps
        1
    """

    model: Model
    steps: int
    best_valid_loss: float
    kept_start: bool
    seconds: float
    resumed_from: int


def train(
    model: Model,
    store: StructureStore,
    settings: Training,
    *,
    seed: int,
    device: str,
    work_dir: Path,
    metrics_csv: Path,
    teacher: StructureStore | None = None,
    label_fraction: float = 1.0,
    guide: FeatureGuide | None = None,
    parent: Model | None = None,
    cores: int = 1,
) -> TrainingResult:
    """Train a model on the train split and return the weights that are best on the valid split.

    The initial weights are candidates as well, so the result is never worse than the start.

    A killed run resumes from its last checkpoint if this function is called again with the same
    arguments; batches, averaged weights and learning rate are then the same as in an uninterrupted
    run. If a signal stops it, it writes a checkpoint first.

    With several ranks, all of them must call this function and get the same result; the first one
    writes the files.

    Args:
        model: the initial model; it is not changed.
        store: structures with labels.
        settings: the training's settings.
        seed: seed for the order of the structures.
        device: name of the device, as in the config.
        work_dir: directory for checkpoints; the caller removes it after success.
        metrics_csv: file to write at the end, with one row per validation and the columns of
            `irrepress.training.module.COLUMNS`.
        teacher: the same structures, in the same order and with the same splits, labelled by
            the parent.
        label_fraction: weight of the store's own labels in the loss; the rest is the weight of the
            teacher's.
        guide: the parent's features as additional targets, with the weight ``settings.features``.
        parent: the parent, for targets that it computes before training
            (``settings.atomic_energies`` and ``settings.hessian_rows``).
        cores: how many cores of the CPU training may use with ranks of its own. With more than one,
            Lightning runs this process's script again for each further rank.

    Raises:
        UserError: if a split is empty, the model does not know an element, the teacher has other
            structures, the device lacks the precision, a structure exceeds a limit, labels are
            missing, the loss is not finite, a worker was killed, or a signal stopped training.
    """
    work_dir = Path(work_dir)
    target = resolve_device(device)
    precision = _precision(settings.precision, target)
    check_data(model, store, teacher, label_fraction, settings.ranks)
    if label_fraction == 1:
        teacher = None  # its labels have no weight
    check_labels(store, teacher, label_fraction, settings.weights)

    seed_everything(seed, workers=True, verbose=False)
    fingerprint = _fingerprint(model, store, settings, seed, teacher, label_fraction)
    initial, dtype = model, model.dtype
    model = deepcopy(model).to(torch.float64 if settings.precision == "64" else dtype)
    _try_precision(model, store, precision, target)
    limits = make_limits(store, settings, model.cutoff, work_dir)
    targets = _targets(store, settings, seed, parent, work_dir, target)
    module = TrainingModule(model.train(), settings, label_fraction=label_fraction, guide=guide)
    module.fingerprint = fingerprint
    data = TrainingData(
        model,
        store,
        settings,
        seed,
        teacher,
        limits,
        pin_memory=target.type == "cuda",
        targets=targets,
    )

    found = find_checkpoint(work_dir, fingerprint)
    checkpoint, rows = (found.path, found.rows) if found else (None, [])
    resumed_from = found.step if found else 0
    if resumed_from:
        logger.info("%s: resuming training from step %d", work_dir, resumed_from)
    ranks = settings.ranks
    if target.type == "cpu" and cores > 1:
        ranks = ranks_on_cores(settings, store.splits, limits, cores)
        torch.set_num_threads(max(cores // ranks, 1))
    if ranks > 1:
        logger.info("training with %d ranks", ranks)
    if not is_finished(rows, settings):
        with _quiet(), _interruptible(), _workers_watched(), claimed() as console:
            trainer = Trainer(
                accelerator="gpu" if target.type == "cuda" else "cpu",
                devices=_devices(settings, ranks, target),
                num_nodes=settings.nodes,
                strategy=strategy(ranks, target),
                precision=precision,
                max_steps=settings.steps,
                max_epochs=-1,  # an epoch is the interval between two validations
                gradient_clip_val=settings.clip,
                callbacks=_callbacks(settings, work_dir, console),
                plugins=[AtomicCheckpointIO(), cluster_environment()],
                use_distributed_sampler=False,
                inference_mode=False,  # forces are gradients, even in validation
                num_sanity_val_steps=0,
                logger=False,
                enable_model_summary=False,
                enable_progress_bar=False,
                default_root_dir=work_dir,
            )
            if checkpoint is None:
                trainer.validate(module, datamodule=data, verbose=False)
            _fit(trainer, module, data, checkpoint)
        rows = module.rows

    best = load_checkpoint(checkpoint_path(work_dir, BEST))
    best_valid_loss = best[STATE_KEY]["rows"][-1]["valid_loss"]
    kept_start = rows[0]["valid_loss"] <= best_valid_loss
    if kept_start:
        logger.warning(
            "training did not improve on the initial weights, which are kept; lower learning_rate "
            "or use more structures"
        )
        best_valid_loss = rows[0]["valid_loss"]
        model = deepcopy(initial)
    else:
        module.load_state_dict(best["state_dict"])
    if is_first():
        _write_csv(metrics_csv, rows)
    return TrainingResult(
        model=model.to("cpu", dtype).eval(),
        steps=int(rows[-1]["step"]),
        best_valid_loss=best_valid_loss,
        kept_start=kept_start,
        seconds=rows[-1]["seconds"],
        resumed_from=resumed_from,
    )


def _targets(
    store: StructureStore,
    settings: Training,
    seed: int,
    parent: Model | None,
    work_dir: Path,
    device: torch.device,
) -> TeacherTargets | None:
    """Return the further targets of a distillation, which the parent computes if need be."""
    if not isinstance(settings, Distillation) or not settings.has_targets:
        return None
    if parent is None:
        raise UserError("atomic_energies and hessian_rows need the parent; set both to 0")
    targets = TeacherTargets(work_dir / "targets", store, settings, seed)
    targets.prepare(parent, device)
    return targets


def _devices(settings: Training, ranks: int, device: torch.device) -> int | list[int]:
    """Return Lightning's devices: their number, or the one named in the config.

    Raises:
        UserError: if there are fewer GPUs than the settings require.
    """
    if device.type == "cuda" and ranks == 1:
        return [device.index or 0]
    if device.type == "cuda" and torch.cuda.device_count() < settings.devices:
        raise UserError(
            f"devices: {settings.devices} GPUs are required, but {torch.cuda.device_count()} are "
            "available; lower devices"
        )
    return ranks // settings.nodes


def _precision(
    name: Precision, device: torch.device
) -> Literal["32-true", "16-mixed", "bf16-mixed"]:
    """Return Lightning's name for a precision.

    Raises:
        UserError: if the device lacks it.
    """
    if name == "32" or name == "64":
        return "32-true"  # float64 is the model's own dtype; Lightning need not convert
    if device.type == "cpu" and name == "16-mixed":
        logger.warning("precision 16-mixed is not available on the CPU; 32 is used instead")
        return "32-true"
    if (
        device.type == "cuda"
        and name == "bf16-mixed"
        and not torch.cuda.is_bf16_supported(including_emulation=False)
    ):
        raise UserError(f"precision: {torch.cuda.get_device_name(device)} lacks bf16; set 32")
    return name


def _try_precision(
    model: Model, store: StructureStore, precision: str, device: torch.device
) -> None:
    """Run one structure in mixed precision, which some families' operations do not support."""
    if not precision.endswith("-mixed"):
        return
    dtype = torch.bfloat16 if precision == "bf16-mixed" else torch.float16
    structures = store.read(store.splits["train"][:1])
    model.to(device)
    try:
        with torch.autocast(device.type, dtype):
            model.predict(model.batch(structures))
    except RuntimeError as error:
        raise UserError(
            f"precision: {precision} does not work with this model ({error}); set it to 32"
        ) from error


def _callbacks(settings: Training, work_dir: Path, console: Console | None) -> list[Callback]:
    """Return callbacks for checkpoints, EMA, signals and progress."""
    # `BEST` must be written first, as the others rely on it. A single callback with save_last=True
    # would only write last.ckpt when there is a new best.
    common: dict[str, Any] = {
        "dirpath": work_dir,
        "save_top_k": 1,
        "enable_version_counter": False,
        "save_on_train_epoch_end": True,
    }
    callbacks: list[Callback] = [
        ModelCheckpoint(filename=BEST, monitor="valid_loss", mode="min", **common),
        ModelCheckpoint(filename=LAST, **common),
        _Timed(
            filename=RECENT,
            train_time_interval=timedelta(minutes=settings.checkpoint_minutes),
            **common,
        ),
    ]
    if settings.ema > 0:
        callbacks.append(WarmedUpEMA(settings.ema))
    callbacks.append(Interruption(checkpoint_path(work_dir, RECENT)))  # after the EMA
    if console is not None:
        callbacks.append(TrainingProgress(settings.steps, console))
    return callbacks


class _Timed(ModelCheckpoint):
    """Writes checkpoints at time intervals, except right before a validation writes one."""

    def on_train_batch_end(self, trainer: Trainer, *arguments: Any) -> None:
        if not trainer.is_last_batch:
            super().on_train_batch_end(trainer, *arguments)


def _fit(
    trainer: Trainer, module: TrainingModule, data: TrainingData, checkpoint: Path | None
) -> None:
    try:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except torch.cuda.OutOfMemoryError as error:
        raise UserError(
            f"training: the GPU's memory is full ({error}); lower batch_size, or set max_atoms "
            "or max_edges"
        ) from error


def _fingerprint(
    model: Model,
    store: StructureStore,
    settings: Training,
    seed: int,
    teacher: StructureStore | None,
    label_fraction: float,
) -> str:
    """Return a hash that identifies a run, so that checkpoints of other runs are not used."""
    description = {
        "settings": settings.model_dump(mode="json", exclude=set(OF_THE_MACHINE)),
        "seed": seed,
        "label_fraction": label_fraction,
        "labels": [_of_labels(s) for s in (store, teacher) if s is not None],
    }
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for array in (store.num_atoms, store.splits["train"], store.splits["valid"]):
        digest.update(np.ascontiguousarray(array, dtype=np.int64).tobytes())
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(
            tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        )
    return digest.hexdigest()


def _of_labels(store: StructureStore) -> dict[str, Any]:
    """Return the metadata that identifies the labels of a store, without licence and citation."""
    info = dataclasses.asdict(store.info)
    return {key: value for key, value in info.items() if key not in ("licence", "citation")}


def _write_csv(path: Path, rows: list[Row]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt, where Lightning would end the process."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None


@contextmanager
def _workers_watched() -> Iterator[None]:
    """Raise a `UserError` if a worker was killed, which PyTorch may report at any time."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise UserError(
            f"training: a process that builds graphs was killed ({str(error).rstrip('. ')}), "
            "usually because memory ran out; lower workers, batch_size or max_edges, or request "
            "more memory"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's banners and tips out of the log."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [each.level for each in loggers]
    try:
        for each in loggers:
            each.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)
