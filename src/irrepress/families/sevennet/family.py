"""The adapter of SevenNet to the Family protocol."""

import copy
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import sevenn._keys as KEY
import torch
from ase.calculators.calculator import Calculator
from sevenn.calculator import SevenNetCalculator
from torch import Tensor

from irrepress.core.cost import CostModel, CostTerms
from irrepress.core.family import (
    MakesUntrained,
    Observer,
    RestrictsElements,
    ShortensCutoff,
)
from irrepress.core.finite import require_finite
from irrepress.core.fits import LinearFit
from irrepress.core.groups import Group
from irrepress.core.model import Batch, Model, NativeModule, Prediction
from irrepress.core.plan import Plan
from irrepress.core.statistics import DataStatistics
from irrepress.core.structure import Structure
from irrepress.families.generic.family import DescribedFamily
from irrepress.families.generic.layout import Layout
from irrepress.families.sevennet import checkpoint, fits, graph, narrow, scratch
from irrepress.families.sevennet import elements as by_element
from irrepress.families.sevennet import gates as gating
from irrepress.families.sevennet import native as rounding
from irrepress.families.sevennet.architecture import (
    EDGES,
    RESCALE,
    read_architecture,
)
from irrepress.families.sevennet.cost import make_cost_model, make_cost_terms
from irrepress.families.sevennet.cutoff import shorten
from irrepress.families.sevennet.layout import ROLES, make_layout


class SevenNetFamily(DescribedFamily, MakesUntrained, RestrictsElements, ShortensCutoff):
    """SevenNet-0, l3i5, MF-0 and every other checkpoint of sevenn that is built on e3nn.

    A narrowed model is ragged: each layer and each irrep has its own number of channels, which
    sevenn's own constructor takes as ``irreps_manual``. Supported are SO(3) and O(3) models,
    linear and NequIP self-connections, linear and MLP readouts, one or several modals, but not
    biases in linear maps.
    """

    name: ClassVar[str] = "sevennet"
    package: ClassVar[str] = "sevenn"
    roles: ClassVar[Sequence[tuple[str, str]]] = ROLES
    terms_without_neighbours: ClassVar[frozenset[str]] = frozenset({"paths", "linear"})

    def resolve(self, source: str | Path, *, licence: str | None = None) -> Path:
        """Return the file of a checkpoint; see the base class. No licence is restricted."""
        return checkpoint.resolve(source)

    def load(
        self, source: str | Path, *, modal: str | None = None, dtype: torch.dtype = torch.float32
    ) -> Model:
        """Load a model by sevenn's keyword or from a path; see the base class.

        No code of the file is run: see `irrepress.families.sevennet.checkpoint`.
        """
        return require_finite(checkpoint.load(source, modal, dtype), source)

    def build(
        self,
        native: dict[str, Any],
        *,
        modal: str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Model:
        """Build a network from sevenn's config; see the base class."""
        network = checkpoint.build(native).to(dtype)
        return checkpoint.make_model(network, copy.deepcopy(native), modal)

    def untrained(
        self,
        settings: Mapping[str, Any],
        data: DataStatistics,
        *,
        seed: int,
        modal: str | None = None,
    ) -> Model:
        """A model with random weights; settings are those of sevenn's config."""
        return scratch.make_untrained(settings, data, seed, modal)

    def save(self, model: Model, path: str | Path, *, dtype: torch.dtype | None = None) -> None:
        """Write a checkpoint of sevenn in float32, its only type; equal models give equal bytes."""
        checkpoint.save(model, path)

    def batch(self, model: Model, structures: Sequence[Structure]) -> Batch:
        """Build one graph, sevenn's own up to the order of its edges; see the base class."""
        return graph.make_batch(model, structures)

    def predict(
        self, model: Model, batch: Batch, *, create_graph: bool = False, native: bool = False
    ) -> Prediction:
        """Energies, forces and stress; see the base class."""
        return graph.predict(model, batch, create_graph, native)

    def atomic_energies(self, model: Model, batch: Batch) -> Tensor:
        """Atomic energies with shift and scale; see the base class."""
        return graph.atomic_energies(model, batch)

    def groups(self, model: Model) -> list[Group]:
        """The groups that `irrepress.families.sevennet.gates` describes."""
        return gating.make_groups(read_architecture(model.network))

    def gated(
        self, model: Model, gates: Mapping[str, Tensor], observer: Observer | None = None
    ) -> AbstractContextManager[None]:
        """Gate blocks by forward hooks; see the base class."""
        return gating.gated(model, gates, observer)

    def native_plan(self, model: Model, plan: Plan) -> tuple[Plan, list[str]]:
        """Equalize tied groups and drop blocks that compute nothing."""
        return rounding.native_plan(read_architecture(model.network), plan)

    def narrow_blocks(self, model: Model, plan: Plan) -> Model:
        """Build the smaller network with sevenn's constructor; see the base class."""
        return narrow.narrow(model, plan)

    def shorten_cutoff(self, model: Model, cutoff: float) -> Model:
        """Fit the radial networks to what they were; see `irrepress.families.sevennet.cutoff`."""
        return shorten(model, cutoff)

    def linear_fits(self, parent: Model, narrowed: Model, plan: Plan) -> Sequence[LinearFit]:
        """The maps that `irrepress.families.sevennet.fits` describes."""
        return fits.linear_fits(parent, narrowed, plan)

    def fresh(self, model: Model, seed: int) -> Model:
        """A model of the same shape with new weights; see the base class.

        Energy shift and scale, mean numbers of neighbours and radial frequencies stay.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = checkpoint.build(model.native)
        network = network.to(device=model.device, dtype=model.dtype)
        old = model.network._modules
        modules: Mapping[str, NativeModule] = network._modules
        for name, module in modules.items():
            if name in (EDGES, RESCALE):
                module.load_state_dict(old[name].state_dict())
            elif name.endswith("_convolution"):
                with torch.no_grad():
                    module.denominator.copy_(old[name].denominator)
        return checkpoint.make_model(network, copy.deepcopy(model.native), model.modal)

    def shift_energies(self, model: Model, shifts: Mapping[int, float]) -> None:
        """Add a constant per element; a multi-modal model changes for its own modal only."""
        by_element.shift_energies(model, shifts)

    def restrict_elements(self, model: Model, elements: Iterable[int]) -> Model:
        """Drop the rows of other elements; see the base class."""
        return by_element.restrict_elements(model, elements)

    def cost_model(self, model: Model, neighbours: float) -> CostModel:
        """Return the function from widths to cost; see `irrepress.families.sevennet.cost`."""
        return make_cost_model(model, neighbours)

    def cost_terms(self, model: Model) -> CostTerms:
        """Return the function from widths to terms of the time; see the base class."""
        return make_cost_terms(model)

    def layout(self, model: Model) -> Layout:
        """Where channels lie; see `irrepress.families.sevennet.layout`."""
        return make_layout(model.network)

    def has_reflections(self, model: Model) -> bool:
        """Whether the model was built with parity (``is_parity``)."""
        return bool(model.native[KEY.IS_PARITY])

    def shape(self, model: Model) -> dict[str, Any]:
        """Irreps per layer, filter order, layers, cutoff in Å, number of elements."""
        architecture = read_architecture(model.network)
        return {
            "irreps": [
                "+".join(f"{channels}x{irrep}" for irrep, channels in features.items())
                for features in architecture.features
            ],
            "filter_lmax": len(architecture.filter) - 1,
            "layers": architecture.layers,
            "cutoff": model.cutoff,
            "elements": len(model.elements),
        }

    def calculator(
        self, path: str | Path, *, device: str = "cpu", modal: str | None = None
    ) -> Calculator:
        """Return sevenn's own calculator; the file is checked first, as in `load`."""
        path = checkpoint.resolve(path)
        config = checkpoint.read(path)["config"]
        checkpoint.check_modal(path, config, modal)
        with warnings.catch_warnings():
            # sevenn advises accelerators that only GPUs have.
            warnings.simplefilter("ignore", UserWarning)
            return SevenNetCalculator(str(path), device=device, modal=modal)
