"""The adapter of MACE to the Family protocol."""

import copy
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import torch
from ase.calculators.calculator import Calculator
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
from irrepress.core.model import Batch, Model, Prediction
from irrepress.core.plan import Plan
from irrepress.core.statistics import DataStatistics
from irrepress.core.structure import Structure
from irrepress.families.generic.family import DescribedFamily
from irrepress.families.generic.layout import Layout
from irrepress.families.mace import checkpoint, fits, graph, narrow, scratch
from irrepress.families.mace import elements as by_element
from irrepress.families.mace import gates as gating
from irrepress.families.mace import native as rounding
from irrepress.families.mace.architecture import read_architecture
from irrepress.families.mace.config import build_network, read_config
from irrepress.families.mace.cost import make_cost_model, make_cost_terms
from irrepress.families.mace.cutoff import shorten
from irrepress.families.mace.groups import make_groups
from irrepress.families.mace.layout import ROLES, make_layout
from irrepress.families.mace.package import MACECalculator


class MACEFamily(DescribedFamily, MakesUntrained, RestrictsElements, ShortensCutoff):
    """MACE-MP-0, MPA-0, OFF23 and every other `MACE` or `ScaleShiftMACE` built on e3nn.

    Embedding, features and atomic basis share one number of channels, since MACE's constructor
    takes no more; messages, radial networks and readout have their own. A modal is the name of
    one of the model's heads. Files are whole modules, of which no code is run: see
    `irrepress.families.mace.checkpoint`.
    """

    name: ClassVar[str] = "mace"
    package: ClassVar[str] = "mace-torch"
    roles: ClassVar[Sequence[tuple[str, str]]] = ROLES
    terms_without_neighbours: ClassVar[frozenset[str]] = frozenset({"paths", "linear", "couplings"})

    def resolve(self, source: str | Path, *, licence: str | None = None) -> Path:
        """Return the file of a checkpoint; see the base class."""
        return checkpoint.resolve(source, licence)

    def load(
        self, source: str | Path, *, modal: str | None = None, dtype: torch.dtype = torch.float32
    ) -> Model:
        """Load a model by keyword or from a path; see the base class."""
        return require_finite(checkpoint.load(source, modal, dtype), source)

    def build(
        self,
        native: dict[str, Any],
        *,
        modal: str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Model:
        """Build a network from the constructor's arguments; see the base class."""
        return checkpoint.make_model(build_network(native, dtype), modal)

    def untrained(
        self,
        settings: Mapping[str, Any],
        data: DataStatistics,
        *,
        seed: int,
        modal: str | None = None,
    ) -> Model:
        """A model with random weights; settings are those of MACE's constructor."""
        return scratch.make_untrained(settings, data, seed, modal)

    def save(self, model: Model, path: str | Path, *, dtype: torch.dtype | None = None) -> None:
        """Write MACE's native file, in the model's type if no other is asked for."""
        checkpoint.save(model, path, dtype)

    def batch(self, model: Model, structures: Sequence[Structure]) -> Batch:
        """Build one graph; see the base class."""
        return graph.make_batch(model, structures)

    def predict(
        self, model: Model, batch: Batch, *, create_graph: bool = False, native: bool = False
    ) -> Prediction:
        """Energies, forces and stress; see the base class."""
        return graph.predict(model, batch, create_graph, native)

    def atomic_energies(self, model: Model, batch: Batch) -> Tensor:
        """Atomic energies, those of isolated atoms included; see the base class."""
        return graph.atomic_energies(model, batch)

    def groups(self, model: Model) -> list[Group]:
        """The groups that `irrepress.families.mace.groups` describes."""
        return make_groups(read_architecture(model.network))

    def gated(
        self, model: Model, gates: Mapping[str, Tensor], observer: Observer | None = None
    ) -> AbstractContextManager[None]:
        """Gate blocks by forward hooks; see the base class."""
        return gating.gated(model, gates, observer)

    def native_plan(self, model: Model, plan: Plan) -> tuple[Plan, list[str]]:
        """Equalize numbers of channels and drop blocks that compute nothing."""
        return rounding.native_plan(read_architecture(model.network), plan)

    def narrow_blocks(self, model: Model, plan: Plan) -> Model:
        """Build the smaller network with MACE's constructor; see the base class."""
        return narrow.narrow(model, plan)

    def shorten_cutoff(self, model: Model, cutoff: float) -> Model:
        """Fit the radial networks to what they were; see `irrepress.families.mace.cutoff`."""
        return shorten(model, cutoff)

    def linear_fits(self, parent: Model, narrowed: Model, plan: Plan) -> Sequence[LinearFit]:
        """The maps that `irrepress.families.mace.fits` describes."""
        return fits.linear_fits(parent, narrowed, plan)

    def fresh(self, model: Model, seed: int) -> Model:
        """A model of the same shape with new weights; see the base class.

        Atomic energies, scale and shift, mean number of neighbours and radial bases stay.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = build_network(read_config(model.network), model.dtype)
        drawn = copy.deepcopy(network.state_dict())
        checkpoint.adopt(model.network, network)
        kept = ("radial_embedding", "pair_repulsion_fn", "atomic_energies_fn", "scale_shift")
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if not name.startswith(kept):
                    parameter.copy_(drawn[name])
        return checkpoint.make_model(network, model.modal).to(model.device)

    def shift_energies(self, model: Model, shifts: Mapping[int, float]) -> None:
        """Add a constant per element; a model of several heads changes for its own head only."""
        by_element.shift_energies(model, shifts)

    def restrict_elements(self, model: Model, elements: Iterable[int]) -> Model:
        """Drop what belongs to other elements; see the base class."""
        return by_element.restrict_elements(model, elements)

    def cost_model(self, model: Model, neighbours: float) -> CostModel:
        """Return the function from widths to cost; see `irrepress.families.mace.cost`."""
        return make_cost_model(model, neighbours)

    def cost_terms(self, model: Model) -> CostTerms:
        """Return the function from widths to terms of the time; see the base class."""
        return make_cost_terms(model)

    def layout(self, model: Model) -> Layout:
        """Where channels lie; see `irrepress.families.mace.layout`."""
        return make_layout(model.network)

    def has_reflections(self, model: Model) -> bool:
        """Whether the model knows parity, which is all but those built with ``use_so3``."""
        return not model.native["use_so3"]

    def shape(self, model: Model) -> dict[str, Any]:
        """Irreps per layer, orders, widths, cutoff in Å, number of elements."""
        architecture = read_architecture(model.network)
        return {
            "irreps": [_text(features) for features in architecture.features],
            "edge_irreps": [_text(layer.edges) for layer in architecture.layers],
            "filter_lmax": len(architecture.basis) - 1,
            "correlation": [layer.correlation for layer in architecture.layers],
            "radial": list(architecture.radial),
            "readout": architecture.readout,
            "layers": len(architecture.layers),
            "heads": architecture.heads,
            "cutoff": model.cutoff,
            "elements": len(model.elements),
        }

    def calculator(
        self, path: str | Path, *, device: str = "cpu", modal: str | None = None
    ) -> Calculator:
        """Return MACE's own calculator on the network that mace builds for the file."""
        found = next(checkpoint.read(checkpoint.resolve(path)).parameters()).dtype
        network = self.load(path, modal=modal, dtype=found).network
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return MACECalculator(
                models=[network],
                device=device,
                default_dtype=str(found).removeprefix("torch."),
                head=modal,
            )


def _text(channels: Mapping[str, int]) -> str:
    return "+".join(f"{count}x{irrep}" for irrep, count in channels.items())
