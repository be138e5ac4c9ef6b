"""Symmetry and forces of eSCN-MD after every stage: pruned, compensated, trained, quantized."""

import copy
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from irrepress.core.plan import Plan
from irrepress.data.config import Split
from irrepress.data.layout import StoreInfo
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store
from irrepress.evaluation.metrics import measure_symmetry
from irrepress.evaluation.predictions import label
from irrepress.pruning.compensation import compensate
from irrepress.quantization.packing import pack, unpack
from irrepress.training.config import Training
from irrepress.training.trainer import train

INFO = StoreInfo("test", "MIT", "", "none", "a random model", "0")
SETTINGS = Training(steps=3, batch_size=3, validate_every=1, learning_rate=1e-4)


@pytest.fixture(scope="module")
def wide(make_escn):
    return make_escn(dtype=torch.float32, lmax=3, mmax=2)


@pytest.fixture(scope="module")
def store(wide, structures, tmp_path_factory):
    """Rattled structures with the labels of the wide model."""
    frames = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        base = structures[seed % 3]
        moved = base.positions + rng.normal(0, 0.05, base.positions.shape)
        frames.append(replace(base, positions=moved, group=str(seed)))
    path = tmp_path_factory.mktemp("stages") / "data.h5"
    split = Split(train=0.5, valid=0.25, test=0.25, by="structure")
    write_store(path, label(wide, frames), INFO, split, seed=0)
    return StructureStore(path)


@pytest.fixture(scope="module")
def stages(escn, wide, store, tmp_path_factory):
    """A native file after each stage."""
    folder = tmp_path_factory.mktemp("models")
    groups = wide.groups()
    plan = Plan.random(groups, np.random.default_rng(5)).cut_order(groups, 2)
    plan, _ = wide.native_plan(plan)
    models = {"pruned": wide.narrow(plan)}
    models["compensated"] = copy.deepcopy(models["pruned"])
    compensate(wide, models["compensated"], plan, store, store.splits["train"])
    models["trained"] = train(
        models["compensated"],
        store,
        SETTINGS,
        seed=0,
        device="cpu",
        work_dir=folder / "work",
        metrics_csv=folder / "training.csv",
    ).model
    pack(models["trained"], folder / "packed.pt")
    models["quantized"] = unpack(escn, folder / "packed.pt")
    for name, model in models.items():
        model.save(folder / f"{name}.pt")
    return folder


@pytest.mark.parametrize("stage", ["pruned", "compensated", "trained", "quantized"])
def test_symmetry_and_forces_after_every_stage(escn, stages, store, stage):
    checks = measure_symmetry(escn, stages / f"{stage}.pt", store, modal=None, seed=1)
    assert checks.failures() == []
    assert checks.own.code.startswith("fairchem-core ")
    for deviations in (checks.own, checks.faster):
        assert deviations.inversion is None  # rotations alone are claimed
        assert deviations.finite_difference < 1e-5
        assert max(deviations.rotation, deviations.translation, deviations.permutation) < 1e-10


def test_every_stage_is_another_model_of_the_same_shape(escn, stages, structures):
    models = [
        escn.load(stages / f"{name}.pt")
        for name in ("pruned", "compensated", "trained", "quantized")
    ]
    shapes = [model.shape() for model in models]
    assert shapes == [shapes[0]] * 4 and shapes[0]["filter_lmax"] == 2
    forces = [model.predict(model.batch(structures)).forces for model in models]
    for before, after in pairwise(forces):
        assert not torch.equal(before, after)
