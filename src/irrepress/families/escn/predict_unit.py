"""Predictions by fairchem's own code, as users of a saved model run it.

fairchem's calculator hands structures to a predict unit, which rebuilds the network that a file
describes by its inference settings, finds neighbours in every call, and undoes the tasks' scaling.
The settings are those of our calculator, `checkpoint.SETTINGS`.
"""

import io
import logging
import random
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from fairchem.core.datasets.atomic_data import AtomicData
from fairchem.core.units.mlip_unit import MLIPPredictUnit
from fairchem.core.units.mlip_unit.api.inference import inference_settings_batch
from torch import Tensor

from irrepress.core.model import Batch, Model, Prediction
from irrepress.families.escn import checkpoint
from irrepress.families.escn.forward import usual_spin
from irrepress.families.escn.tasks import scale_of
from irrepress.families.generic.gates import is_gated
from irrepress.families.generic.graphs import voigt


@dataclass(frozen=True)
class _Built:
    """A predict unit, and what it was built for."""

    unit: MLIPPredictUnit
    tasks: Any
    dtype: torch.dtype
    device: torch.device

    def serves(self, model: Model) -> bool:
        """Whether the unit is still right; weights are shared, and need no look."""
        same = (self.dtype, self.device) == (model.dtype, model.device)
        return same and self.tasks is model.native["tasks_config"]


_units: "weakref.WeakKeyDictionary[Model, _Built]" = weakref.WeakKeyDictionary()


def predict(model: Model, batch: Batch, create_graph: bool) -> Prediction:
    """Run fairchem's code; see `irrepress.core.family.Family.predict`.

    Predict units cannot be differentiated. With ``create_graph`` the forward pass of the network
    runs, fairchem's too, and only the scaling of the task is ours.

    Raises:
        RuntimeError: the model is gated, which fairchem's code knows nothing of.
    """
    if is_gated(model):
        raise RuntimeError("fairchem's own code does not gate blocks; predict without native=True")
    with _aside(model):
        if create_graph:
            energy, forces, stress = _differentiable(model, batch)
        else:
            found = _unit(model).predict(_atomic_data(model, batch))
            energy, forces, stress = (found[n].detach() for n in ("energy", "forces", "stress"))
    return Prediction(energy.flatten(), forces, voigt(stress.view(-1, 3, 3)))


def _differentiable(model: Model, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Return total energies, forces and stress of the network's own forward pass."""
    scale = scale_of(model.native)
    network = model.network
    training = network.training
    network.train()  # fairchem keeps the graph of the forces in this mode
    try:
        found = network(_atomic_data(model, batch))
    finally:
        network.train(training)
    references = torch.tensor(scale.references, dtype=torch.float64, device=model.device)
    energy = scale.rmsd * found["energy"]["energy"] + scale.mean
    energy = energy.index_add(0, batch.structure, references[batch.numbers])
    forces, stress = (scale.rmsd * found[name][name] for name in ("forces", "stress"))
    return energy, forces, stress


def _atomic_data(model: Model, batch: Batch) -> AtomicData:
    """Return fairchem's record of the structures, without neighbours, as its calculator makes it.

    Charges and spins are those that the calculator takes for structures that say nothing.
    """
    inputs, device = batch.inputs, batch.numbers.device
    positions = inputs["positions"].detach().clone()
    dataset = model.native["tasks_config"][0]["datasets"][0]
    structures = len(batch)

    def whole(*shape: int, value: int = 0) -> Tensor:
        return torch.full(shape, value, dtype=torch.long, device=device)

    return AtomicData(
        pos=positions,
        atomic_numbers=batch.numbers,
        cell=inputs["cells"].detach().clone(),
        pbc=inputs["periodic"],
        natoms=batch.num_atoms,
        edge_index=whole(2, 0),
        cell_offsets=positions.new_zeros(0, 3),
        nedges=whole(structures),
        charge=whole(structures),
        spin=whole(structures, value=usual_spin(dataset)),
        fixed=whole(len(positions)),
        tags=whole(len(positions)),
        batch=batch.structure,
        sid=[""] * structures,
        dataset=[dataset] * structures,
    )


def _unit(model: Model) -> MLIPPredictUnit:
    """Return the predict unit of a model, with the model's present weights."""
    built = _units.get(model)
    if built is None or not built.serves(model):
        with _undisturbed():
            unit = _build(model)
        built = _Built(unit, model.native["tasks_config"], model.dtype, model.device)
        _units[model] = built
    theirs = dict(built.unit.model.module.named_parameters())
    for name, parameter in model.network.named_parameters():
        # The same memory: a file would round the weights of a float64 model to float32.
        theirs[name].data = parameter.detach()
    return built.unit


def _build(model: Model) -> MLIPPredictUnit:
    """Build a predict unit from what the model's file would hold."""
    settings = inference_settings_batch()
    settings.base_precision_dtype = model.dtype
    unit = MLIPPredictUnit(
        io.BytesIO(checkpoint.content(model)),
        device=model.device.type,
        inference_settings=settings,
    )
    unit.device = str(model.device)  # fairchem would take the first GPU
    return unit


@contextmanager
def _aside(model: Model) -> Iterator[None]:
    """Run fairchem without what it does to the process.

    At its first call a unit warns of the settings that it runs with. In every call it turns edges
    by random angles, which results do not depend on, but the next random numbers would.
    """

    def wanted(record: logging.LogRecord) -> bool:
        return "with inference settings" not in str(record.msg)

    logging.root.addFilter(wanted)
    try:
        with torch.random.fork_rng([model.device] if model.device.type == "cuda" else []):
            yield
    finally:
        logging.root.removeFilter(wanted)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep what fairchem sets for the whole process: seeds, and what is logged."""
    python, numpy = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count())
    with checkpoint.unlogged(), torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
