"""The protocol that every family of models implements."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import torch
from ase.calculators.calculator import Calculator
from torch import Tensor

from irrepress.core.cost import NEIGHBOURS, CostModel, CostTerms
from irrepress.core.errors import UserError
from irrepress.core.fits import LinearFit
from irrepress.core.groups import Group
from irrepress.core.model import Batch, Model, Prediction
from irrepress.core.plan import Plan
from irrepress.core.statistics import DataStatistics
from irrepress.core.structure import Structure
from irrepress.core.target import Explicit

# called with a group's name and its features [atoms or edges, channels, dim] after the gate; where
# a group stands for a whole order or component, the norms of its features over the channels
Observer = Callable[[str, Tensor], None]

# Of a model's cutoff: what it can be shortened to. Less leaves few neighbours in most materials.
SHORTEST_CUTOFF = 0.6


@dataclass(frozen=True)
class WeightBlock:
    """A matrix of path or radial weights that may be quantized.

    Attributes:
        parameter: name of the parameter in ``model.network.named_parameters()``.
        start: where the matrix begins in the flattened parameter.
        shape: ``(rows, columns)``; columns are output channels.
        transposed: the parameter holds the matrix column after column.
    """

    parameter: str
    start: int
    shape: tuple[int, int]
    transposed: bool = False


class Family(ABC):
    """What irrepress needs to know of a family of models.

    Adapters hold no state. A narrowed model is rebuilt by the family's own constructor, so
    that saved files load where irrepress is not installed.
    """

    name: ClassVar[str]
    # The family's own package, as its installer calls it.
    package: ClassVar[str]
    # Whether `restrict_elements` can leave elements out; a family without it sets False.
    restricts_elements: ClassVar[bool] = True
    # Whether `shorten_cutoff` is there.
    shortens_cutoff: ClassVar[bool] = False
    # Cost terms (`cost_terms`) that do not grow with the number of neighbours.
    terms_without_neighbours: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def resolve(self, source: str | Path, *, licence: str | None = None) -> Path:
        """Return the file of a checkpoint given by the family's keyword or by its path.

        Args:
            source: keyword or path.
            licence: name of the licence that the user accepts; needed for keywords of checkpoints
                whose licence restricts their use.

        Raises:
            UserError: no such keyword or file, a licence that has to be accepted and was not, or
                the download failed.
        """

    @abstractmethod
    def load(
        self, source: str | Path, *, modal: str | None = None, dtype: torch.dtype = torch.float32
    ) -> Model:
        """Load a model by the family's keyword or from a path, onto the CPU.

        Raises:
            UserError: no such keyword or file, a truncated file, a checkpoint of another
                family, a modal that is missing or unknown, parameters that are not finite.
        """

    @abstractmethod
    def build(
        self,
        native: dict[str, Any],
        *,
        modal: str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Model:
        """Build a model with new weights from the family's own configuration.

        Args:
            native: a `Model.native`, also after a round trip through plain Python types.
            modal: the level of theory that the model is to use.
            dtype: floating-point type of the parameters.
        """

    def untrained(
        self,
        settings: Mapping[str, Any],
        data: DataStatistics,
        *,
        seed: int,
        modal: str | None = None,
    ) -> Model:
        """A model with random float32 weights, to be trained from scratch.

        Args:
            settings: of the architecture, by the names that they have in the family's own
                configuration; those that are absent are those of a small model of the family.
            data: what it will be trained on. The model knows its elements; reference energies,
                scale and the mean number of neighbours are set where the family has them.
            seed: of the weights.
            modal: name of the level of theory, where the family's files name even a single one.

        Raises:
            UserError: an unknown or impossible setting, or the family offers no such models.
        """
        raise UserError(
            f"untrained: the family {self.name!r} makes no models from settings; name a "
            "checkpoint instead"
        )

    @abstractmethod
    def save(self, model: Model, path: str | Path, *, dtype: torch.dtype | None = None) -> None:
        """Write the model in the family's own format, atomically, without optimizer state.

        Args:
            model: the model; it is not changed.
            path: where to.
            dtype: type of the saved numbers, where the family's files can hold more than one;
                None: the usual one of the family's files.
        """

    @abstractmethod
    def batch(self, model: Model, structures: Sequence[Structure]) -> Batch:
        """Build one graph of several structures, on the CPU in the model's dtype.

        Raises:
            UserError: an element that the model does not know.
        """

    @abstractmethod
    def predict(
        self, model: Model, batch: Batch, *, create_graph: bool = False, native: bool = False
    ) -> Prediction:
        """Energies, forces and stress.

        Args:
            model: the model; its train or eval mode does not matter.
            batch: from `batch`, on the model's device; it is not changed.
            create_graph: keep the graph, so that losses on forces can be differentiated.
                Without it all results are detached. Works under ``torch.no_grad()``.
            native: run the code of the family's package and nothing else, as users of the
                model will: for timing. Without it, faster code may compute the same.
        """

    def own_code(self) -> str:
        """Name the code that ``predict(native=True)`` runs: package, version, settings."""
        return f"{self.package} {version(self.package)}"

    @abstractmethod
    def atomic_energies(self, model: Model, batch: Batch) -> Tensor:
        """What each atom adds to the energies of `predict`, in eV, ``[atoms]``, detached."""

    @abstractmethod
    def groups(self, model: Model) -> list[Group]:
        """The groups of irreps blocks, in the order of the network.

        Groups of a narrowed model have the names and width keys of the unpruned model's; those
        of which nothing was kept are absent.
        """

    @abstractmethod
    def gated(
        self, model: Model, gates: Mapping[str, Tensor], observer: Observer | None = None
    ) -> AbstractContextManager[None]:
        """Multiply irreps blocks by gates while the context lasts.

        Args:
            model: the model.
            gates: group name -> gates, ``[channels]`` for all structures alike or
                ``[structures, channels]`` with one row per structure of the batch. Groups
                that are absent are not gated.
            observer: called once per group and forward pass with the gated features.
        """

    @abstractmethod
    def native_plan(self, model: Model, plan: Plan) -> tuple[Plan, list[str]]:
        """Change a plan to the nearest one that the family's own constructor can hold.

        Returns:
            The plan and one message per change (none if the plan is native as it is).
        """

    def narrow(self, model: Model, plan: Plan) -> Model:
        """Build the physically smaller model that a plan describes.

        It equals the model with the plan's cutoff, gated, up to round-off.

        Raises:
            UserError: the plan does not fit the model.
        """
        return self.narrow_blocks(self.with_cutoff(model, plan.cutoff), plan)

    @abstractmethod
    def narrow_blocks(self, model: Model, plan: Plan) -> Model:
        """Remove the blocks that a plan does not keep, whatever its cutoff; see `narrow`."""

    def with_cutoff(self, model: Model, cutoff: float | None) -> Model:
        """Return a model that sees neighbours up to a shorter cutoff in Å; None: the model itself.

        Raises:
            UserError: the cutoff is none that the model can be shortened to, or a family that
                cannot shorten it.
        """
        if cutoff is None:
            return model
        self.check_cutoff(model, cutoff)
        return self.shorten_cutoff(model, cutoff)

    def check_cutoff(self, model: Model, cutoff: float, source: str = "plan") -> None:
        """Check that the model can be shortened to a cutoff in Å.

        Args:
            model: the model.
            cutoff: what is asked for.
            source: what messages call whatever asks, such as a plan's path.

        Raises:
            UserError: it cannot.
        """
        if not self.shortens_cutoff:
            raise UserError(
                f"{source}: the cutoff of models of the family {self.name} cannot be shortened; "
                "leave it out"
            )
        least = SHORTEST_CUTOFF * model.cutoff
        if not least <= cutoff < model.cutoff:
            raise UserError(
                f"{source}: a cutoff of {cutoff:g} Å is asked for; it must be less than the "
                f"model's {model.cutoff:g} Å and no less than {least:g} Å"
            )

    def shorten_cutoff(self, model: Model, cutoff: float) -> Model:
        """Return the model that comes nearest with a shorter cutoff, which has been checked.

        Families with `shortens_cutoff` have it; others are never asked.
        """
        raise NotImplementedError

    @abstractmethod
    def linear_fits(self, parent: Model, narrowed: Model, plan: Plan) -> Sequence[LinearFit]:
        """The linear maps of a narrowed model that compensation fits, in the network's order.

        Args:
            parent: the model before narrowing.
            narrowed: what `narrow` made of it with ``plan``; weights may have changed since.
            plan: which blocks were kept.
        """

    @abstractmethod
    def fresh(self, model: Model, seed: int) -> Model:
        """A model of the same shape with new random weights, for training from scratch.

        Constants of the data (energy shift and scale, the mean number of neighbours) stay.
        """

    @abstractmethod
    def shift_energies(self, model: Model, shifts: Mapping[int, float]) -> None:
        """Add a constant per element (atomic number -> eV) to the atomic energies, in place."""

    def restrict_elements(self, model: Model, elements: Iterable[int]) -> Model:
        """Return a model that knows only ``elements`` (atomic numbers), otherwise unchanged.

        Raises:
            UserError: no elements, one that the model does not know, or a family whose models
                cannot leave any out (`restricts_elements` says so).
        """
        raise UserError(f"models of the family {self.name} cannot leave out elements")

    @abstractmethod
    def cost_model(self, model: Model, neighbours: float = NEIGHBOURS) -> CostModel:
        """Return the function from widths to cost, for ``neighbours`` edges per atom."""

    @abstractmethod
    def cost_terms(self, model: Model) -> CostTerms:
        """Return the function from widths to what the time of one call is made of.

        The time is taken to be a sum of the terms, each times a constant of the machine that is
        fitted to timed shapes, and a constant for the call itself. So terms should be few, tell
        apart what machines are differently good at (calls of kernels, memory, operations, by
        the orders that meet), and be sums over layers where layers run the same code. Their
        units do not matter.

        Returns:
            A function that gives the same names for all widths, no negative values, and values
            that never grow when a width shrinks. What it gives for a narrowed model is what it
            gives for the unpruned model at the same widths; terms that a narrowed model lacks
            are zero there.
        """

    @abstractmethod
    def block_norms(self, model: Model) -> dict[str, Tensor]:
        """Size of the weights that read each irreps block: group name -> ``[channels]``.

        The Euclidean norm over all weights that multiply the block, with the normalisation
        that the family's own code applies to them. It serves the criterion ``magnitude``.
        """

    @abstractmethod
    def weight_blocks(self, model: Model) -> list[WeightBlock]:
        """The matrices of path and radial weights: scalars of the equivariant maps."""

    @abstractmethod
    def parameter_parts(self, model: Model) -> dict[str, str]:
        """What each parameter that can be trained does in the network.

        Returns:
            Name in ``model.named_parameters()`` -> ``embedding`` (of elements), ``linear``
            (equivariant maps between features), ``radial`` (networks and bases of interatomic
            distances) or ``readout`` (from the last features to the energy).
        """

    def has_reflections(self, model: Model) -> bool:
        """Whether the architecture is equivariant under inversion as well as rotation."""
        return False

    def named_shapes(self) -> Mapping[str, Explicit]:
        """Shapes that plans can name as their target, such as those of smaller official models."""
        return {}

    @abstractmethod
    def shape(self, model: Model) -> dict[str, Any]:
        """The architecture for readers: irreps per layer, filter order, layers, cutoff."""

    @abstractmethod
    def calculator(
        self, path: str | Path, *, device: str = "cpu", modal: str | None = None
    ) -> Calculator:
        """The family's own ASE calculator on a saved model."""
