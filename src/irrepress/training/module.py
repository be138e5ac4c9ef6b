"""The Lightning module for training and validation of models of any family."""

import logging
import math
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from irrepress.core.errors import UserError
from irrepress.core.model import Model, Prediction
from irrepress.core.processes import is_first
from irrepress.core.quantities import GPA_PER_EV_A3, QUANTITIES
from irrepress.training.config import Distillation, Training
from irrepress.training.data import LabelledBatch, TrainingData
from irrepress.training.features import FeatureGuide, Features, observed
from irrepress.training.losses import Comparison, compare
from irrepress.training.optimizers import WeightMatrices, make_optimizer
from irrepress.training.ranks import world_size
from irrepress.training.rounding import RoundedWeights
from irrepress.training.schedule import WarmupCosine
from irrepress.training.tally import Tally

logger = logging.getLogger(__name__)

# One row per validation: the columns of training.csv.
COLUMNS = (
    "step",
    "epoch",
    "train_loss",
    "train_energy_mae",
    "train_forces_mae",
    "valid_loss",
    "valid_energy_mae",
    "valid_forces_mae",
    "valid_stress_mae",
    "learning_rate",
    "seconds",
)

Row = dict[str, float]

# Key of irrepress's own state in a Lightning checkpoint.
STATE_KEY = "irrepress"


class TrainingModule(LightningModule):
    """Trains a model on labels, on a teacher's labels, or on a mixture of both.

    Its data module must be a `irrepress.training.data.TrainingData`.

    Args:
        model: the model, which is trained in place.
        settings: the training's settings.
        label_fraction: weight of the dataset's labels; the rest is the weight of the teacher's.
        guide: the parent's features as additional targets. Validation only uses energies, forces
            and stress.

    Attributes:
        rows: one row per validation with the keys `COLUMNS`; the first is from before the first
            step. ``epoch`` is the number of passes over the train split; errors are relative to the
            teacher if it has any weight, otherwise to the labels. Rows are stored in the
            checkpoint.
        fingerprint: identifies the run that a checkpoint belongs to.

    Example:
        >>> module = TrainingModule(model, Training(steps=100), label_fraction=1.0)
        >>> type(module.configure_optimizers()["optimizer"]).__name__
        'AdamW'
    """

    def __init__(
        self,
        model: Model,
        settings: Training,
        *,
        label_fraction: float,
        guide: FeatureGuide | None = None,
    ):
        super().__init__()
        self.model = model
        self.settings = settings
        self.label_fraction = label_fraction
        self.guide = guide  # not a submodule: the parent is neither trained nor saved
        self.rows: list[Row] = []
        self.fingerprint = ""
        self._seconds_before = 0.0
        self._started = time.monotonic()
        self._learning_rate = float("nan")
        self._train = Tally()
        self._valid = Tally()
        self._rounding = RoundedWeights(model, settings.bits)
        self._matrices: WeightMatrices | None = None

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer with linear warmup and cosine decay, scheduled per optimizer step.

        Parts of the network whose relative rate is 0 are left out of the optimizer.
        """
        rates = {str(part): rate for part, rate in self.settings.relative_rates.items()}
        parts: dict[str, list[torch.nn.Parameter]] = {}
        for weights, part in self._weights():
            parts.setdefault(part, []).append(weights)
        groups = [
            {"params": members, "lr": self.settings.learning_rate * rates.get(part, 1.0)}
            for part, members in parts.items()
            if rates.get(part, 1.0) > 0
        ]
        optimizer = make_optimizer(self.settings, groups)
        factor = WarmupCosine(
            self.settings.steps, self.settings.warmup, self.settings.final_learning_rate
        )
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def training_step(self, batch: LabelledBatch, batch_idx: int) -> Tensor:
        """Return the loss of a batch times the number of ranks, over which DDP averages.

        Each rank's sums are divided by the counts of the entire batch, so that the gradient equals
        that of a single rank with the entire batch.

        Raises:
            UserError: if the loss is not finite.
        """
        self._rounding.round()
        guided: AbstractContextManager[Features] = (
            observed(self.model) if self.guide else nullcontext({})
        )
        with guided as features:
            prediction = self.model.predict_for_loss(batch.graph)
        comparisons = self._compare(prediction, batch)
        loss = self._loss(comparisons, [part.over_ranks().counts for part in comparisons])
        if loss is None:  # no labels in this batch: a step without a gradient
            loss = 0 * prediction.energy.sum()
        if self.guide and isinstance(self.settings, Distillation):
            loss = loss + self.settings.features * self.guide.loss(features, batch.graph)
        if batch.targets and batch.teacher and isinstance(self.settings, Distillation):
            forces = batch.teacher.forces
            loss = loss + batch.targets.loss(self.model, prediction, forces, self.settings)
        if not torch.isfinite(loss):
            raise UserError(
                f"training: the loss is {loss.item()} at step {self.global_step + 1}; lower "
                f"learning_rate (now {self.settings.learning_rate:g}) or check the labels"
            )
        self._train.add(comparisons, loss)
        (optimizer,) = self.trainer.optimizers
        first = optimizer.param_groups[0]  # parts differ by a constant factor
        self._learning_rate = self.settings.learning_rate * first["lr"] / first["initial_lr"]
        scaled = loss * world_size()
        self.log("train_loss", scaled.detach(), prog_bar=True, batch_size=len(batch.graph))
        return scaled

    def on_after_backward(self) -> None:
        """Let the optimizer step from the weights that are not rounded, with their gradients."""
        self._rounding.restore()
        if self._matrices is not None:
            self._matrices.take_gradients()

    def on_train_start(self) -> None:
        """Move the guide's parent to the device of the model."""
        if self.guide:
            self.guide.parent.to(self.device)

    def on_train_batch_end(self, *_: Any) -> None:
        """Stop after the last step; Lightning then validates."""
        if self.global_step >= self.settings.steps:
            self.trainer.should_stop = True

    def on_validation_epoch_start(self) -> None:
        """Reset the sums."""
        self._valid = Tally()

    def validation_step(self, batch: LabelledBatch, batch_idx: int) -> None:
        """Add a batch of the valid split to the sums."""
        self._rounding.round()
        prediction = self.model.predict(batch.graph)
        self._rounding.restore()  # at once, before the average of the weights is exchanged for them
        self._valid.add(self._compare(prediction, batch))

    def on_validation_epoch_end(self) -> None:
        """Append the row of this validation; stop if patience has run out.

        Raises:
            UserError: if a split has no labels or the loss is not finite.
        """
        begun = self.global_step > 0  # the first validation is of the initial weights
        self._train, self._valid = self._train.over_ranks(), self._valid.over_ranks()
        for name, tally in (("train", self._train), ("valid", self._valid)):
            if self._loss(tally.comparisons) is None and (begun or name == "valid"):
                weights = self.settings.weights
                used = [quantity for quantity in QUANTITIES if getattr(weights, quantity) > 0]
                raise UserError(
                    f"training: no structure in the {name} split has a label for "
                    f"{' or '.join(used) or 'anything with a weight'}; check the labels of the "
                    "dataset and the weights of the loss"
                )
        loss = self._loss(self._valid.comparisons)
        valid_loss = float("nan") if loss is None else float(loss)
        if not math.isfinite(valid_loss):
            raise UserError(
                f"training: the validation loss is {valid_loss} at step {self.global_step}; lower "
                f"learning_rate (now {self.settings.learning_rate:g}) or check the labels"
            )
        row = self._row(valid_loss)
        self.rows.append(row)
        self._train = Tally()
        self.log("valid_loss", valid_loss, prog_bar=True, batch_size=1)
        logger.info("%s", _told(row, self.settings.steps))
        if is_finished(self.rows, self.settings):
            self.trainer.should_stop = True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the rows and the training time so far."""
        checkpoint[STATE_KEY] = {
            "rows": self.rows,
            "seconds": self._seconds(),
            "fingerprint": self.fingerprint,
            # Steps since the last validation; all ranks save together.
            "train": self._train.over_ranks().state(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the rows and the training time."""
        self.rows = list(checkpoint[STATE_KEY]["rows"])
        self._seconds_before = checkpoint[STATE_KEY]["seconds"]
        self._started = time.monotonic()
        if is_first():  # the sums are those of all ranks
            self._train = Tally.of(checkpoint[STATE_KEY]["train"])

    def _weights(self) -> Iterable[tuple[torch.nn.Parameter, str]]:
        """Return what the optimizer steps, and the roles: parameters, or matrices in them."""
        if self.settings.optimizer == "soap":
            self._matrices = WeightMatrices(self.model)
            return self._matrices
        parameters = dict(self.model.named_parameters())
        return [(parameters[name], role) for name, role in self.model.parameter_roles().items()]

    def _compare(self, prediction: Prediction, batch: LabelledBatch) -> list[Comparison]:
        """Return comparisons with the labels and, if there is one, with the teacher, in order."""
        targets = [batch.labels] + ([batch.teacher] if batch.teacher is not None else [])
        delta, large = self.settings.weights.huber_delta, self.settings.large_forces
        atoms = batch.graph.num_atoms
        return [compare(prediction, target, atoms, delta, large) for target in targets]

    def _loss(
        self, comparisons: list[Comparison], counts: list[dict[str, int]] | None = None
    ) -> Tensor | None:
        """Return the weighted mean of the losses; None if no label has a weight."""
        fractions = [self.label_fraction, 1 - self.label_fraction]
        terms = []
        for i, (fraction, comparison) in enumerate(zip(fractions, comparisons, strict=False)):
            divisors = counts[i] if counts else None
            loss = comparison.loss(self.settings.weights, divisors) if fraction > 0 else None
            if loss is not None:
                terms.append(fraction * loss)
        return torch.stack(terms).sum() if terms else None

    def _passes(self) -> float:
        """Return the number of passes over the train split so far."""
        data: TrainingData = self.trainer.datamodule  # type: ignore[attr-defined]  # set by fit
        return data.passes(self.global_step)

    def _row(self, valid_loss: float) -> Row:
        train, valid = self._train.mean_absolute(), self._valid.mean_absolute()
        return {
            "step": self.global_step,
            "epoch": self._passes(),
            "train_loss": self._train.mean_loss(),
            "train_energy_mae": train["energy"],
            "train_forces_mae": train["forces"],
            "valid_loss": valid_loss,
            "valid_energy_mae": valid["energy"],
            "valid_forces_mae": valid["forces"],
            "valid_stress_mae": valid["stress"],
            "learning_rate": self._learning_rate,
            "seconds": self._seconds(),
        }

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._started


def _told(row: Row, steps: int) -> str:
    """Format a validation as a log line, without quantities that have no value."""
    losses = [("train loss", row["train_loss"]), ("valid loss", row["valid_loss"])]
    errors = [
        (row["valid_energy_mae"], "eV/atom"),
        (row["valid_forces_mae"], "eV/Å"),
        (row["valid_stress_mae"] * GPA_PER_EV_A3, "GPa"),
    ]
    text = ", ".join(f"{name} {value:.4g}" for name, value in losses if not math.isnan(value))
    units = ", ".join(f"{value:.4g} {unit}" for value, unit in errors if not math.isnan(value))
    return f"step {row['step']} of {steps}: {text} ({units})"


def is_finished(rows: list[Row], settings: Training) -> bool:
    """Return whether a run has finished: all steps are done, or patience has run out.

    Args:
        rows: one row per validation so far.
        settings: the training's settings.
    """
    if not rows:
        return False
    if rows[-1]["step"] >= settings.steps:
        return True
    if settings.patience is None:
        return False
    best = min(range(len(rows)), key=lambda i: rows[i]["valid_loss"])
    return len(rows) - 1 - best >= settings.patience
