import csv
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from irrepress.core.errors import UserError
from irrepress.training.checkpoints import BEST, LAST, RECENT, checkpoint_path, load_checkpoint

# What a killed process was asked to do; it is slowed down so that it can be hit in between.
CHILD = """
import pickle, sys, time
from pathlib import Path

import torch

from irrepress.families import get_family
from irrepress.data.store import StructureStore
from irrepress.training.module import TrainingModule
from irrepress.training.trainer import train

torch.set_num_threads(1)
step = TrainingModule.training_step
TrainingModule.training_step = lambda *a: (time.sleep(0.3), step(*a))[1]
family = get_family("sevennet")
model, store, settings, work_dir = pickle.loads(Path(sys.argv[1]).read_bytes())
train(family.load(model), StructureStore(store), settings, seed=0, device="cpu",
      work_dir=Path(work_dir), metrics_csv=Path(work_dir) / "training.csv")
"""


class Killed(Exception):
    pass


@pytest.fixture
def interrupt(monkeypatch):
    """Return a function that makes training die when so many steps are done."""
    from irrepress.training.module import TrainingModule

    whole_step = TrainingModule.training_step

    def interrupt(at: int | None) -> None:
        def step(self, batch, batch_idx):
            if self.global_step == at:
                raise Killed
            return whole_step(self, batch, batch_idx)

        monkeypatch.setattr(TrainingModule, "training_step", step)

    return interrupt


def read_rows(path):
    """The rows without the time, which is never the same."""
    with Path(path).open() as file:
        rows = list(csv.DictReader(file))
    seconds = [float(row.pop("seconds")) for row in rows]
    assert seconds == sorted(seconds)
    return rows


@pytest.mark.parametrize(
    ("died_at", "changes"),
    [
        (3, {}),
        (5, {"optimizer": "soap"}),
        pytest.param(4, {}, marks=pytest.mark.slow),
        pytest.param(6, {}, marks=pytest.mark.slow),
        pytest.param(3, {"workers": 2}, marks=pytest.mark.slow),
        pytest.param(5, {"workers": 2, "max_atoms": 5, "max_edges": 1000}, marks=pytest.mark.slow),
    ],
)
def test_resumed_is_uninterrupted(
    run, settings, interrupt, tmp_path, died_at, changes, same_weights
):
    settings = settings.model_copy(update={"steps": 7, **changes})
    whole = run(settings=settings, work_dir=tmp_path / "whole", metrics_csv=tmp_path / "whole.csv")

    interrupt(died_at)
    with pytest.raises(Killed):
        run(settings=settings)
    assert not (tmp_path / "training.csv").exists()
    interrupt(None)
    resumed = run(settings=settings)

    assert resumed.resumed_from == died_at // 2 * 2
    assert resumed.steps == whole.steps == 7
    assert same_weights(resumed.model, whole.model)
    assert resumed.best_valid_loss == whole.best_valid_loss
    assert read_rows(tmp_path / "training.csv") == read_rows(tmp_path / "whole.csv")


@pytest.mark.slow
@pytest.mark.parametrize("died_at", [1, 3, 5])
def test_checkpoints_by_time_save_what_lies_between_two_validations(
    run, settings, interrupt, tmp_path, died_at, same_weights
):
    settings = settings.model_copy(update={"validate_every": 3, "checkpoint_minutes": 1e-9})
    whole = run(settings=settings, work_dir=tmp_path / "whole", metrics_csv=tmp_path / "whole.csv")
    interrupt(died_at)
    with pytest.raises(Killed):
        run(settings=settings)
    interrupt(None)
    # How often checkpoints are written does not make it another run.
    resumed = run(settings=settings.model_copy(update={"checkpoint_minutes": 60}))
    assert resumed.resumed_from == died_at
    assert same_weights(resumed.model, whole.model)
    assert read_rows(tmp_path / "training.csv") == read_rows(tmp_path / "whole.csv")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_saves_and_ends_in_one_message(
    run, settings, tmp_path, monkeypatch, number, same_weights
):
    from irrepress.training.module import TrainingModule

    settings = settings.model_copy(update={"validate_every": 4})
    whole = run(settings=settings, work_dir=tmp_path / "whole")
    before = signal.getsignal(number)
    step = TrainingModule.training_step

    def signalled(self, batch, batch_idx):
        if self.global_step == 1:
            os.kill(os.getpid(), number)
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", signalled)
        with pytest.raises(UserError, match=f"stopped by {number.name} at step 2"):
            run(settings=settings)
    assert signal.getsignal(number) == before
    saved = load_checkpoint(checkpoint_path(tmp_path / "work", RECENT))
    assert saved["global_step"] == 2
    resumed = run(settings=settings)
    assert resumed.resumed_from == 2
    assert same_weights(resumed.model, whole.model)


def test_a_finished_run_is_not_trained_again(run, interrupt, same_weights):
    first = run()
    interrupt(0)  # any step would raise
    second = run()
    assert second.resumed_from == second.steps == first.steps
    assert same_weights(first.model, second.model)


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"learning_rate": 1e-3}, {"data": True}])
def test_checkpoints_of_another_run_are_not_used(
    run, settings, interrupt, change, make_store, labelled, caplog
):
    interrupt(5)
    with pytest.raises(Killed):
        run()
    interrupt(None)
    if "data" in change:
        result = run(store=make_store(labelled[:-2]))
    else:
        result = run(settings=settings.model_copy(update=change))
    assert result.resumed_from == 0
    assert result.steps == settings.steps
    assert "of other settings" in caplog.text


@pytest.mark.parametrize("damaged", [LAST, BEST])
def test_damaged_checkpoints_do_not_block(run, interrupt, settings, tmp_path, caplog, damaged):
    interrupt(5)
    with pytest.raises(Killed):
        run()
    best = load_checkpoint(checkpoint_path(tmp_path / "work", BEST))["global_step"]
    path = checkpoint_path(tmp_path / "work", damaged)
    path.write_bytes(path.read_bytes()[:1000])
    interrupt(None)
    result = run()
    assert f"{path}: ignoring a damaged checkpoint" in caplog.text
    # Without the last one training resumes from the best one; without that it starts again.
    assert result.resumed_from == (best if damaged == LAST else 0)
    assert result.steps == settings.steps


@pytest.mark.slow
def test_a_process_that_was_killed_goes_on(
    sevennet, small_sevennet, store, settings, run, tmp_path
):
    settings = settings.model_copy(update={"steps": 9, "validate_every": 3})
    model = tmp_path / "model.pt"
    small_sevennet.save(model)
    work = tmp_path / "killed"
    task = tmp_path / "task.pickle"
    task.write_bytes(pickle.dumps((str(model), str(store.path), settings, str(work))))

    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(task)], env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    last = checkpoint_path(work, LAST)
    while child.poll() is None and not last.exists():
        time.sleep(0.02)
    time.sleep(0.5)  # into the middle of an epoch
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL

    loaded = sevennet.load(model)
    resumed = run(model=loaded, settings=settings, work_dir=work)
    assert 0 < resumed.resumed_from < 9
    assert resumed.steps == 9
    whole = run(model=loaded, settings=settings, work_dir=tmp_path / "whole")
    assert resumed.best_valid_loss == pytest.approx(whole.best_valid_loss, rel=1e-6)
