"""The adapter of eSCN-MD to the Family protocol."""

import copy
import logging
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import torch
from ase.calculators.calculator import Calculator
from fairchem.core import FAIRChemCalculator
from torch import Tensor

from irrepress.core.cost import CostModel, CostTerms
from irrepress.core.family import MakesUntrained, Observer, RestrictsElements
from irrepress.core.finite import require_finite
from irrepress.core.fits import LinearFit
from irrepress.core.groups import Group
from irrepress.core.model import Batch, Model, Prediction
from irrepress.core.plan import Plan
from irrepress.core.statistics import DataStatistics
from irrepress.core.structure import Structure
from irrepress.families.escn import checkpoint, fits, graph, narrow, scratch
from irrepress.families.escn import elements as by_element
from irrepress.families.escn import gates as gating
from irrepress.families.escn import native as rounding
from irrepress.families.escn.architecture import read_architecture
from irrepress.families.escn.classes import check_classes
from irrepress.families.escn.cost import make_cost_model, make_cost_terms
from irrepress.families.escn.layout import ROLES, make_layout, system_layout
from irrepress.families.escn.predict_unit import SETTINGS
from irrepress.families.escn.tasks import choose_dataset, datasets_of
from irrepress.families.generic.family import DescribedFamily
from irrepress.families.generic.layout import Layout


class EscnFamily(DescribedFamily, MakesUntrained, RestrictsElements):
    """eSCN-MD of fairchem-core 2, the backbone of UMA and eSEN, if it is conservative.

    A narrowed model is uniform: one number of sphere channels, hidden channels and edge channels
    each, one highest order and one highest component, as fairchem's constructor wants them. A
    model is loaded for one task (``modal``), which alone its saved file predicts. Mixtures of
    experts, such as UMA, are merged for one composition before: see
    `irrepress.families.escn.merge`. Structures have no charge and the usual spin.
    """

    name: ClassVar[str] = "escn"
    package: ClassVar[str] = "fairchem-core"
    roles: ClassVar[Sequence[tuple[str, str]]] = ROLES

    def resolve(self, source: str | Path, *, licence: str | None = None) -> Path:
        """Return the file of a checkpoint; keywords are those of untrained models, without one."""
        return checkpoint.resolve(source)

    def load(
        self, source: str | Path, *, modal: str | None = None, dtype: torch.dtype = torch.float32
    ) -> Model:
        """Load a model for one task; see the base class.

        No code of the file is run: see `irrepress.families.escn.checkpoint`.
        """
        return require_finite(checkpoint.load(source, modal, dtype), source)

    def build(
        self,
        native: dict[str, Any],
        *,
        modal: str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Model:
        """Build a network from fairchem's configs; see the base class."""
        built = checkpoint.build(native, modal)
        return checkpoint.make_model(built.network.to(dtype), built.native, modal)

    def untrained(
        self,
        settings: Mapping[str, Any],
        data: DataStatistics,
        *,
        seed: int,
        modal: str | None = None,
    ) -> Model:
        """A model with random weights; settings are those of fairchem's backbone."""
        return scratch.make_untrained(settings, data, seed, modal)

    def save(self, model: Model, path: str | Path, *, dtype: torch.dtype | None = None) -> None:
        """Write an inference checkpoint in float32, its only type; equal models, equal bytes."""
        checkpoint.save(model, path)

    def batch(self, model: Model, structures: Sequence[Structure]) -> Batch:
        """Build one graph, fairchem's own up to the order of its edges; see the base class."""
        return graph.make_batch(model, structures)

    def predict(
        self, model: Model, batch: Batch, *, create_graph: bool = False, native: bool = False
    ) -> Prediction:
        """Energies (float64), forces and stress; see the base class."""
        return graph.predict(model, batch, create_graph, native)

    def own_code(self) -> str:
        """Name fairchem and the inference settings; see the base class."""
        return f"{super().own_code()}, inference settings {SETTINGS!r}"

    def atomic_energies(self, model: Model, batch: Batch) -> Tensor:
        """Atomic energies with scale and references; see the base class."""
        return graph.atomic_energies(model, batch)

    def groups(self, model: Model) -> list[Group]:
        """The groups that `irrepress.families.escn.gates` describes."""
        return gating.make_groups(read_architecture(model.native))

    def gated(
        self, model: Model, gates: Mapping[str, Tensor], observer: Observer | None = None
    ) -> AbstractContextManager[None]:
        """Gate blocks by forward hooks; norms count what the gates keep. See the base class."""
        return gating.gated(model, gates, observer)

    def native_plan(self, model: Model, plan: Plan) -> tuple[Plan, list[str]]:
        """Equalize groups of one kind; see `irrepress.families.escn.native`."""
        return rounding.native_plan(read_architecture(model.native), plan)

    def narrow_blocks(self, model: Model, plan: Plan) -> Model:
        """Build the smaller network with fairchem's constructor; see the base class."""
        return narrow.narrow(model, plan)

    def linear_fits(self, parent: Model, narrowed: Model, plan: Plan) -> Sequence[LinearFit]:
        """The maps that `irrepress.families.escn.fits` describes."""
        return fits.linear_fits(parent, narrowed, plan)

    def fresh(self, model: Model, seed: int) -> Model:
        """A model of the same shape with new weights; scale and references of energies stay."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            built = checkpoint.build(copy.deepcopy(model.native), model.modal)
        network = built.network.to(device=model.device, dtype=model.dtype)
        return checkpoint.make_model(network, built.native, model.modal)

    def shift_energies(self, model: Model, shifts: Mapping[int, float]) -> None:
        """Add a constant per element to the task's reference energies."""
        by_element.shift_energies(model, shifts)

    def restrict_elements(self, model: Model, elements: Iterable[int]) -> Model:
        """Drop rows beyond the heaviest element; see the base class."""
        return by_element.restrict_elements(model, elements)

    def cost_model(self, model: Model, neighbours: float) -> CostModel:
        """Return the function from widths to cost; see `irrepress.families.escn.cost`."""
        return make_cost_model(model, neighbours)

    def cost_terms(self, model: Model) -> CostTerms:
        """Return the function from widths to terms of the time; see the base class."""
        return make_cost_terms(model)

    def layout(self, model: Model) -> Layout:
        """Where channels lie; see `irrepress.families.escn.layout`."""
        a = read_architecture(model.native)
        return make_layout(a) + system_layout(a)

    def shape(self, model: Model) -> dict[str, Any]:
        """Irreps, hidden and edge channels, highest order and component, layers, cutoff in Å."""
        a = read_architecture(model.native)
        irreps = "+".join(f"{a.channels}x{degree}e" for degree in range(a.lmax + 1))
        return {
            "irreps": [irreps] * a.layers,
            "filter_lmax": a.lmax,
            "mmax": a.mmax,
            "hidden_channels": a.hidden,
            "edge_channels": a.edge_channels,
            "layers": a.layers,
            "cutoff": model.cutoff,
            "elements": len(model.elements),
        }

    def calculator(
        self, path: str | Path, *, device: str = "cpu", modal: str | None = None
    ) -> Calculator:
        """Return fairchem's own calculator; the file is checked first, as in `load`."""
        path = checkpoint.resolve(path)
        content = checkpoint.read(path)
        check_classes(path, content.model_config, content.tasks_config)
        modal = choose_dataset(path, datasets_of(content.tasks_config), modal)
        level = logging.root.level
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return FAIRChemCalculator.from_model_checkpoint(
                    str(path), task_name=modal, inference_settings=SETTINGS, device=device
                )
            finally:
                logging.root.setLevel(level)
