"""A loaded model, the batches that it takes and what it predicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from irrepress.core.cost import NEIGHBOURS, CostModel, CostTerms
from irrepress.core.errors import UserError
from irrepress.core.family import (
    Family,
    Observer,
    RestrictsElements,
    ShortensCutoff,
    WeightBlock,
)
from irrepress.core.groups import Group
from irrepress.core.plan import Plan
from irrepress.core.structure import Structure

if TYPE_CHECKING:  # a fit holds batches
    from irrepress.core.fits import LinearFit

# Fraction of a model's cutoff that it can be shortened to. Less leaves few neighbours in most
# materials.
SHORTEST_CUTOFF = 0.6

# A module of a family's own package: which attributes it has is known to the family alone.
NativeModule: TypeAlias = Any


class Model(torch.nn.Module):
    """A network with its family and what is needed to save it in the family's own format.

    All that is computed with a model runs where its parameters lie (`device`).

    Attributes:
        network: the family's own module.
        family: the adapter of its family, which holds no state.
        native: the family's own configuration, from which its constructor builds the network.
        cutoff: radius of the neighbour list in Å.
        elements: atomic numbers that the model knows.
        modal: which level of theory of a multi-modal model is used; None if it has only one.

    Example:
        >>> from ase.build import bulk
        >>> from irrepress.core.structure import Structure
        >>> from irrepress.families import get_family
        >>> model = get_family("sevennet").load("7net-0")
        >>> batch = model.batch([Structure.unlabelled(bulk("Si"))])
        >>> model.predict(batch).forces.shape
        torch.Size([2, 3])
    """

    network: NativeModule

    def __init__(
        self,
        network: NativeModule,
        *,
        family: Family,
        native: dict[str, Any],
        cutoff: float,
        elements: Iterable[int],
        modal: str | None = None,
    ):
        super().__init__()
        self.network = network
        self.family = family
        self.native = native
        self.cutoff = cutoff
        self.elements = tuple(sorted(elements))
        self.modal = modal

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the parameters."""
        return next(p.dtype for p in self.parameters() if p.is_floating_point())

    @property
    def device(self) -> torch.device:
        """Where the parameters lie."""
        return next(self.parameters()).device

    def parameter_count(self) -> int:
        """Number of parameters, trainable or not, as the families count them."""
        return sum(p.numel() for p in self.parameters())

    def save(self, path: str | Path, *, dtype: torch.dtype | None = None) -> None:
        """Write the model in the family's own format, atomically, without optimizer state.

        Args:
            path: where to.
            dtype: type of the saved numbers, where the family's files can hold more than one;
                None: the usual one of the family's files.
        """
        self.family.save(self, path, dtype=dtype)

    def batch(
        self, structures: Sequence[Structure], *, device: torch.device | str | None = None
    ) -> Batch:
        """Build one graph of several structures in the model's dtype.

        Args:
            structures: the structures.
            device: where the graph is to lie; None: on the model's device.

        Raises:
            UserError: an element that the model does not know.
        """
        return self.family.batch(self, structures).to(self.device if device is None else device)

    def predict(
        self, batch: Batch, *, create_graph: bool = False, native: bool = False
    ) -> Prediction:
        """Energies, forces and stress; the train or eval mode does not matter.

        Args:
            batch: from `batch`, on the model's device; it is not changed.
            create_graph: keep the graph, so that losses on forces can be differentiated.
                Without it all results are detached. Works under ``torch.no_grad()``.
            native: run the code of the family's package and nothing else, as users of the
                model will: for timing. Without it, faster code may compute the same.
        """
        return self.family.predict(self, batch, create_graph=create_graph, native=native)

    def atomic_energies(self, batch: Batch) -> Tensor:
        """What each atom adds to the energies of `predict`, in eV, ``[atoms]``, detached."""
        return self.family.atomic_energies(self, batch)

    def groups(self) -> list[Group]:
        """The groups of irreps blocks, in the order of the network.

        Groups of a narrowed model have the names and width keys of the unpruned model's; those
        of which nothing was kept are absent.
        """
        return self.family.groups(self)

    def gated(
        self, gates: Mapping[str, Tensor], observer: Observer | None = None
    ) -> AbstractContextManager[None]:
        """Multiply irreps blocks by gates while the context lasts.

        Args:
            gates: group name -> gates, ``[channels]`` for all structures alike or
                ``[structures, channels]`` with one row per structure of the batch. Groups
                that are absent are not gated.
            observer: called once per group and forward pass with the gated features.
        """
        return self.family.gated(self, gates, observer)

    def native_plan(self, plan: Plan) -> tuple[Plan, list[str]]:
        """Change a plan to the nearest one that the family's own constructor can hold.

        Returns:
            The plan and one message per change (none if the plan is native as it is).
        """
        return self.family.native_plan(self, plan)

    def narrow(self, plan: Plan) -> Model:
        """Build the physically smaller model that a plan describes.

        It equals the model with the plan's cutoff, gated, up to round-off.

        Raises:
            UserError: the plan does not fit the model.
        """
        return self.family.narrow_blocks(self.with_cutoff(plan.cutoff), plan)

    def with_cutoff(self, cutoff: float | None) -> Model:
        """Return a model that sees neighbours up to a shorter cutoff in Å; None: this model.

        Raises:
            UserError: the cutoff is none that the model can be shortened to, or its family cannot
                shorten it.
        """
        if cutoff is None:
            return self
        return self._shortening(cutoff, "plan").shorten_cutoff(self, cutoff)

    def check_cutoff(self, cutoff: float, source: str = "plan") -> None:
        """Check that the model can be shortened to a cutoff.

        Args:
            cutoff: what is asked for, in Å.
            source: what messages call whatever asks, such as a plan's path.

        Raises:
            UserError: it cannot.
        """
        self._shortening(cutoff, source)

    def _shortening(self, cutoff: float, source: str) -> ShortensCutoff:
        """Return the family as one that can shorten the model to a cutoff; see `check_cutoff`."""
        if not isinstance(self.family, ShortensCutoff):
            raise UserError(
                f"{source}: the cutoff of models of the family {self.family.name} cannot be "
                "shortened; leave it out"
            )
        least = SHORTEST_CUTOFF * self.cutoff
        if not least <= cutoff < self.cutoff:
            raise UserError(
                f"{source}: a cutoff of {cutoff:g} Å is asked for; it must be less than the "
                f"model's {self.cutoff:g} Å and no less than {least:g} Å"
            )
        return self.family

    def linear_fits(self, narrowed: Model, plan: Plan) -> Sequence[LinearFit]:
        """The linear maps of a narrowed model that compensation fits, in the network's order.

        Args:
            narrowed: what `narrow` made of this model with ``plan``; weights may have changed
                since.
            plan: which blocks were kept.
        """
        return self.family.linear_fits(self, narrowed, plan)

    def fresh(self, seed: int) -> Model:
        """A model of the same shape with new random weights, for training from scratch.

        Constants of the data (energy shift and scale, the mean number of neighbours) stay.
        """
        return self.family.fresh(self, seed)

    def shift_energies(self, shifts: Mapping[int, float]) -> None:
        """Add a constant per element (atomic number -> eV) to the atomic energies, in place."""
        self.family.shift_energies(self, shifts)

    def restrict_elements(self, elements: Iterable[int]) -> Model:
        """Return a model that knows only ``elements`` (atomic numbers), otherwise unchanged.

        Raises:
            UserError: no elements, one that the model does not know, or its family is not one that
                `RestrictsElements`.
        """
        if not isinstance(self.family, RestrictsElements):
            raise UserError(
                f"models of the family {self.family.name} cannot be restricted to fewer elements"
            )
        return self.family.restrict_elements(self, elements)

    def cost_model(self, neighbours: float = NEIGHBOURS) -> CostModel:
        """Return the function from widths to cost, for ``neighbours`` edges per atom."""
        return self.family.cost_model(self, neighbours)

    def cost_terms(self) -> CostTerms:
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
        return self.family.cost_terms(self)

    def block_norms(self) -> dict[str, Tensor]:
        """Size of the weights that read each irreps block: group name -> ``[channels]``.

        The Euclidean norm over all weights that multiply the block, with the normalisation
        that the family's own code applies to them. It serves the criterion ``magnitude``.
        """
        return self.family.block_norms(self)

    def weight_blocks(self) -> list[WeightBlock]:
        """The matrices of path and radial weights: scalars of the equivariant maps."""
        return self.family.weight_blocks(self)

    def parameter_roles(self) -> dict[str, str]:
        """What each parameter that can be trained does in the network.

        Returns:
            Name in ``named_parameters()`` -> ``embedding`` (of elements), ``linear``
            (equivariant maps between features), ``radial`` (networks and bases of interatomic
            distances) or ``readout`` (from the last features to the energy).
        """
        return self.family.parameter_roles(self)

    def has_reflections(self) -> bool:
        """Whether the architecture is equivariant under inversion as well as rotation."""
        return self.family.has_reflections(self)

    def shape(self) -> dict[str, Any]:
        """The architecture for readers: irreps per layer, filter order, layers, cutoff."""
        return self.family.shape(self)


@dataclass(frozen=True)
class Batch:
    """Several structures as one graph.

    Attributes:
        inputs: the family's own graph; only the family looks inside. Like a tensor, it has
            the methods ``to`` and ``pin_memory``.
        num_atoms: atoms per structure, ``[structures]`` int64.
        structure: index of the structure of each atom, ``[atoms]`` int64.
        numbers: atomic numbers, ``[atoms]`` int64.
    """

    inputs: Any
    num_atoms: Tensor
    structure: Tensor
    numbers: Tensor

    def to(self, device: torch.device | str, **kwargs: Any) -> Batch:
        """Return the batch on another device."""
        return self._each(lambda part: part.to(device, **kwargs))

    def pin_memory(self) -> Batch:
        """Return the batch in memory that a GPU copies from by itself."""
        return self._each(lambda part: part.pin_memory())

    def _each(self, function: Callable[[Any], Any]) -> Batch:
        return Batch(*(function(getattr(self, field.name)) for field in fields(self)))

    def __len__(self) -> int:
        return len(self.num_atoms)


@dataclass(frozen=True)
class Prediction:
    """What a model says about a batch.

    Attributes:
        energy: total energy in eV, ``[structures]``.
        forces: eV/Å, ``[atoms, 3]``.
        stress: eV/Å^3, ``[structures, 6]``, Voigt order xx, yy, zz, yz, xz, xy, ASE's sign.
            Meaningless for structures without a periodic cell.
    """

    energy: Tensor
    forces: Tensor
    stress: Tensor
