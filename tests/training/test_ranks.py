"""Training shared by several processes gives what one process gives."""

import os
import pickle
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from irrepress.core.errors import UserError
from irrepress.core.processes import is_first
from irrepress.training import ranks
from irrepress.training.batches import Limit
from irrepress.training.config import Distillation, Training
from irrepress.training.data import TrainingData

# Lightning starts the second rank by running the same file again.
SCRIPT = """
import pickle, sys
from pathlib import Path

import torch

from irrepress.families import get_family
from irrepress.core.plan import Plan
from irrepress.data.store import StructureStore
from irrepress.training.features import FeatureGuide
from irrepress.core.processes import is_first
from irrepress.training import ranks
from irrepress.training.trainer import train

torch.set_num_threads(1)
ranks._WORTH_A_PROCESS = 0
model, store, teacher, settings, cores, out = pickle.loads(Path(sys.argv[1]).read_bytes())
family = get_family("sevennet")
load = lambda: family.load(model, dtype=torch.float64)
guide = FeatureGuide(load(), Plan.identity(load().groups()))
result = train(
    load(), StructureStore(store), settings, seed=0, device="cpu", work_dir=Path(out),
    metrics_csv=Path(out) / "training.csv", teacher=StructureStore(teacher), label_fraction=0.5,
    guide=guide, parent=load(), cores=cores,
)
print(f"rank {torch.distributed.get_rank()} of {torch.distributed.get_world_size()}"
      if torch.distributed.is_initialized() else "alone")
if is_first():
    torch.save(result.model.state_dict(), Path(out) / "weights.pt")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "runs", "limits", "round_off"),
    [
        ("adamw", [{"devices": 1}, {"devices": 2}], {}, 1e-9),
        # After few steps the eigenvectors of SOAP's statistics are not unique, nor are its weights.
        ("soap", [{"cores": 1}, {"cores": 2}], {"max_atoms": 40}, 1e-6),
    ],
)
def test_two_ranks_give_the_result_of_one(
    small_sevennet_double, store, teacher, tmp_path, optimizer, runs, limits, round_off
):
    """Same batches, same losses, same weights: molecules and crystals differ in what they weigh."""
    model = tmp_path / "model.pt"
    small_sevennet_double.save(model)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    found = []
    for number, run in enumerate(runs):
        out = tmp_path / str(number)
        settings = Distillation(
            steps=4,
            batch_size=4,
            validate_every=2,
            ema=0.9,
            precision="64",
            devices=run.get("devices", 1),
            optimizer=optimizer,
            **limits,
            features=0.1,
            atomic_energies=0.5,
            hessian_rows=2,
            learning_rate=2e-3,
        )
        task = tmp_path / "task.pickle"
        task.write_bytes(
            pickle.dumps(
                (
                    str(model),
                    str(store.path),
                    str(teacher.path),
                    settings,
                    run.get("cores", 1),
                    str(out),
                )
            )
        )
        done = subprocess.run(
            [sys.executable, str(script), str(task)],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
        # Lightning tells nothing of its ranks; the second one says that it began.
        assert ("rank 1 of 2" in done.stdout) == (number == 1)
        weights = torch.load(out / "weights.pt", weights_only=True)
        found.append((weights, pd.read_csv(out / "training.csv").drop(columns="seconds")))
    (alone, rows), (shared, shared_rows) = found
    pd.testing.assert_frame_equal(rows, shared_rows, rtol=round_off)
    start = small_sevennet_double.state_dict()
    names = [name for name, weights in alone.items() if name in start and weights.numel()]
    moved = max(float((alone[name] - start[name]).abs().max()) for name in names)
    apart = max(float((alone[name] - shared[name]).abs().max()) for name in names)
    # AdamW divides gradients by their size: round-off in those near 0 is not small in a step.
    assert moved > 1e-3
    assert optimizer == "soap" or apart < 1e-6 * moved


def test_batches_that_cannot_be_shared_evenly_are_refused():
    with pytest.raises(ValueError, match="batch_size 8 cannot be divided evenly among 3 devices"):
        Training(batch_size=8, devices=3)
    assert Training(batch_size=8, devices=2, nodes=2).ranks == 4


def test_ranks_on_cores_are_as_many_as_batches_have_structures_for():
    splits = {"train": np.arange(10), "valid": np.arange(10, 14)}
    atoms = Limit("max_atoms", "atoms", 200, sizes=np.full(14, 64))
    long = Training(steps=1000, batch_size=8)
    assert ranks.ranks_on_cores(long, splits, [atoms], cores=2) == 2
    assert ranks.ranks_on_cores(long, splits, [atoms], cores=16) == 3
    assert ranks.ranks_on_cores(long, splits, [], cores=16) == 4, "valid structures are shared, too"
    few = Training(steps=10, batch_size=8)
    assert ranks.ranks_on_cores(few, splits, [], cores=16) == 1
    given = Training(steps=1000, batch_size=8, devices=4, nodes=2)
    assert ranks.ranks_on_cores(given, splits, [], cores=2) == 8


def test_more_devices_than_structures_are_refused(run, settings, store):
    devices = len(store.splits["valid"]) + 1
    settings = settings.model_copy(update={"batch_size": 2 * devices, "devices": devices})
    with pytest.raises(UserError, match=f"fewer than the {devices} devices"):
        run(settings=settings)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_every_rank_has_a_part_of_a_small_valid_split(small_sevennet, store, settings, count):
    """Batches of four would leave the second of two ranks without any."""
    valid = store.splits["valid"][:count]
    assert len(valid) == count
    settings = settings.model_copy(update={"batch_size": 8})
    parts = []
    for rank in range(2):
        data = TrainingData(small_sevennet, store, settings, seed=0)
        data.splits["valid"] = valid
        data.trainer = SimpleNamespace(global_rank=rank, world_size=2)
        parts.append([batch.labels.energy.tolist() for batch in data.val_dataloader()])
    assert all(parts)
    seen = sorted(e for part in parts for batch in part for e in batch)
    expected = sorted(s.energy for s in store.read(valid))
    assert seen == pytest.approx(expected)


def test_only_jobs_of_several_devices_are_started_by_srun(monkeypatch):
    called = []
    monkeypatch.setattr(os, "execvpe", lambda *call: called.append(call))
    several = Training(devices=2, nodes=2)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    ranks.start_by_srun(several)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    ranks.start_by_srun(Training())
    assert not called
    ranks.start_by_srun(several)
    ((name, command, environment),) = called
    assert name == "srun"
    assert {"--nodes=2", "--ntasks-per-node=2", "--ntasks=4"} <= set(command)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    ranks.start_by_srun(several)
    assert len(called) == 1, "a rank must not start ranks"
    monkeypatch.setenv("SLURM_PROCID", "1")
    assert not is_first()
