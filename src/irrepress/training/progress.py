"""One progress bar over the whole run."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class TrainingProgress(Callback):
    """A bar over all steps, with the losses; it goes on from where a resumed run goes on.

    Lightning's own bars count from 0 in every epoch, and an epoch here is only what lies
    between two validations.

    Args:
        steps: steps of the whole run.
        console: the console to draw the bar on.
    """

    def __init__(self, steps: int, console: Console):
        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
            console=console,
        )
        self._task = self._progress.add_task("training", total=steps, losses="")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar."""
        self._progress.update(self._task, completed=trainer.global_step)
        self._progress.start()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Advance by a step."""
        losses = [
            f"{name.replace('_', ' ')} {float(value):.3g}"
            for name, value in trainer.progress_bar_metrics.items()
        ]
        self._progress.update(self._task, completed=trainer.global_step, losses=", ".join(losses))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the bar as it stands."""
        self._progress.stop()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Release the terminal before the error is printed."""
        self._progress.stop()
