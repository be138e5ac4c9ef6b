"""Loaded models, their batches and predictions."""

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
    DropsLayers,
    Family,
    LearnsFaster,
    Observer,
    RestrictsElements,
    ShortensCutoff,
    WeightBlock,
)
from irrepress.core.files import atomic_path
from irrepress.core.groups import Group
from irrepress.core.irreps import has_natural_parity
from irrepress.core.plan import Plan
from irrepress.core.structure import Structure

if TYPE_CHECKING:  # a fit holds batches
    from irrepress.core.fits import LinearFit

# Minimum fraction of a model's cutoff that it can be shortened to. Less leaves few neighbours in
# most materials.
SHORTEST_CUTOFF = 0.6

# A module of a family's own package, whose attributes only the family knows.
NativeModule: TypeAlias = Any


class Model(torch.nn.Module):
    """A network with its family and everything needed to save it in the family's own format.

    All computations run on the device of its parameters.

    Attributes:
        network: the family's own module.
        family: the interface to its family, which holds no state.
        native: the family's own configuration, from which its constructor builds the network.
        cutoff: radius of the neighbour list in Å.
        elements: atomic numbers that the model knows.
        modal: the level of theory used in a multi-modal model; None if there is only one.

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
        """Device of the parameters."""
        return next(self.parameters()).device

    def parameter_count(self) -> int:
        """Return the number of parameters, trainable or not, as the families count them."""
        return sum(p.numel() for p in self.parameters())

    def save(self, path: str | Path, *, dtype: torch.dtype | None = None) -> None:
        """Write the model atomically in the family's own format, without optimizer state.

        Args:
            path: path of the file.
            dtype: dtype of the saved parameters, if the family's files support several; None: the
                family's default.
        """
        content = self.family.content(self, dtype)
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)

    def batch(
        self, structures: Sequence[Structure], *, device: torch.device | str | None = None
    ) -> Batch:
        """Build a graph of several structures in the model's dtype.

        Args:
            structures: the structures.
            device: device of the graph; None: the model's device.

        Raises:
            UserError: if the model does not know an element.
        """
        return self.family.batch(self, structures).to(self.device if device is None else device)

    def predict(
        self, batch: Batch, *, create_graph: bool = False, native: bool = False
    ) -> Prediction:
        """Return energies, forces and stress, independently of train or eval mode.

        Args:
            batch: from `batch`, on the model's device; it is not changed.
            create_graph: whether to keep the autograd graph, so that losses of forces can be
                differentiated; otherwise all results are detached. Works under ``torch.no_grad()``.
            native: whether to run only the code of the family's package, as users of the model
                will, for timing and checks; otherwise, faster equivalent code may be used.
        """
        return self.family.predict(self, batch, create_graph, native)

    def predict_for_loss(self, batch: Batch) -> Prediction:
        """Return what `predict` does, for a loss that is differentiated once, by parameters alone.

        On a CPU this is faster than the graph of ``predict(batch, create_graph=True)`` and keeps
        less in memory, where the family has such code; derivatives are the same up to round-off.

        Args:
            batch: from `batch`, on the model's device; it is not changed.

        Example:
            >>> prediction = model.predict_for_loss(model.batch(structures))
            >>> prediction.forces.square().sum().backward()
            >>> any(each.grad is not None for each in model.parameters())
            True
        """
        found = None
        if isinstance(self.family, LearnsFaster) and self.device.type == "cpu":
            found = self.family.predict_for_loss(self, batch)
        return found or self.predict(batch, create_graph=True)

    def atomic_energies(self, batch: Batch) -> Tensor:
        """Return the contribution of each atom to the energy in eV, ``[atoms]``, detached."""
        return self.family.atomic_energies(self, batch)

    def groups(self) -> list[Group]:
        """Return the groups of irreps blocks, in the order of the network.

        Groups of a narrowed model have the same names and width keys as in the unpruned model;
        those without any channels left are absent.
        """
        return self.family.groups(self)

    def gated(
        self, gates: Mapping[str, Tensor], observer: Observer | None = None
    ) -> AbstractContextManager[None]:
        """Multiply irreps blocks by gates inside the ``with`` block.

        Args:
            gates: group name -> gates, ``[channels]`` for all structures or ``[structures,
                channels]`` with one row per structure of the batch. Missing groups are not gated.
            observer: called once per group and forward pass with the gated features.
        """
        return self.family.gated(self, gates, observer)

    def native_plan(self, plan: Plan) -> tuple[Plan, list[str]]:
        """Return the closest plan that the family's own constructor can build.

        Returns:
            The plan and a message for each change.
        """
        return self.family.native_plan(self, plan)

    def narrow(self, plan: Plan) -> Model:
        """Build the smaller model that a plan describes.

        Up to round-off, it equals the model with the plan's layers and cutoff and with gates of 0
        and 1.

        Raises:
            UserError: if the plan does not fit the model.
        """
        reduced = self.with_layers(plan.layers).with_cutoff(plan.cutoff)
        return self.family.narrow_blocks(reduced, plan)

    def with_layers(self, layers: Sequence[int] | None) -> Model:
        """Return a model with some of the message-passing layers alone; None: this model.

        Layers hand on features that the next one was not trained to read, unless it followed
        before: the weights need compensation, training, or both.

        Args:
            layers: indices of the layers to keep, in ascending order, with those that the family
                needs: as a rule the last one, which the readout follows
                (`irrepress.core.family.DropsLayers.needed_layers`).

        Raises:
            UserError: if there is no such layer, a needed one is missing, or the family does not
                support this.
        """
        if layers is None:
            return self
        family = self._dropping(layers, "plan")
        return self if len(layers) == self.layers else family.drop_layers(self, layers)

    def groups_with_layers(self, layers: Sequence[int] | None) -> dict[str, str]:
        """Return the groups of the model with some of its layers, and which they are here.

        Args:
            layers: indices of the layers to keep; None: all.

        Returns:
            Name of the group in `with_layers` -> name of the group in this model, of whose
            channels the first ones are there.
        """
        if layers is None or len(layers) == self.layers:
            return {group.name: group.name for group in self.groups()}
        return self._dropping(layers, "plan").groups_with_layers(self, layers)

    @property
    def layers(self) -> int:
        """Number of message-passing layers."""
        return int(self.shape()["layers"])

    def layers_to_keep(self, count: int, source: str = "plan") -> tuple[int, ...]:
        """Return which layers to keep where only their number is given, from 1 to `layers`.

        Args:
            count: the number of layers.
            source: where it was requested, such as a plan's path, for messages.

        Raises:
            UserError: if the model cannot be built with so few layers, or its family cannot drop
                any.
        """
        chosen = self._droppable(source).layers_to_keep(self, count)
        self.check_layers(chosen, source)
        return chosen

    def check_layers(self, layers: Sequence[int], source: str = "plan") -> None:
        """Check that the model can be built with some of its layers alone.

        Args:
            layers: indices of the layers to keep.
            source: where they were requested, such as a plan's path, for messages.

        Raises:
            UserError: if it cannot.
        """
        self._dropping(layers, source)

    def _dropping(self, layers: Sequence[int], source: str) -> DropsLayers:
        """Check layers as in `check_layers` and return the family."""
        family, count = self._droppable(source), self.layers
        needed = family.needed_layers(self, layers)
        known = sorted({*layers} & {*range(count)}) == list(layers)
        if not known or not layers or not needed.keys() <= {*layers}:
            raise UserError(
                f"{source}: layers {', '.join(map(str, layers)) or 'none'}: the model has the "
                f"layers 0 to {count - 1}; name some of them in ascending order, with "
                + ", and ".join(f"{layer}, {reason}" for layer, reason in sorted(needed.items()))
            )
        return family

    def _droppable(self, source: str) -> DropsLayers:
        """Return the family, if it can drop layers."""
        if not isinstance(self.family, DropsLayers):
            raise UserError(
                f"{source}: layers of models of the family {self.family.name} cannot be dropped; "
                "leave 'layers' out"
            )
        return self.family

    def with_cutoff(self, cutoff: float | None) -> Model:
        """Return a model with a shorter cutoff in Å; None: this model.

        Raises:
            UserError: if the cutoff is out of range or the family does not support this.
        """
        if cutoff is None:
            return self
        return self._shortening(cutoff, "plan").shorten_cutoff(self, cutoff)

    def check_cutoff(self, cutoff: float, source: str = "plan") -> None:
        """Check that the model can be shortened to a cutoff.

        Args:
            cutoff: the shorter cutoff in Å.
            source: where it was requested, such as a plan's path, for messages.

        Raises:
            UserError: if it cannot.
        """
        self._shortening(cutoff, source)

    def _shortening(self, cutoff: float, source: str) -> ShortensCutoff:
        """Check a cutoff as in `check_cutoff` and return the family."""
        if not isinstance(self.family, ShortensCutoff):
            raise UserError(
                f"{source}: the cutoff of models of the family {self.family.name} cannot be "
                "shortened; leave it out"
            )
        least = SHORTEST_CUTOFF * self.cutoff
        if not least <= cutoff < self.cutoff:
            raise UserError(
                f"{source}: the cutoff is {cutoff:g} Å; it must be less than the model's "
                f"{self.cutoff:g} Å and at least {least:g} Å"
            )
        return self.family

    def linear_fits(self, narrowed: Model, plan: Plan) -> Sequence[LinearFit]:
        """Return the fits of a narrowed model's linear maps for compensation, in network order.

        Args:
            narrowed: result of `narrow` for ``plan``; its weights may have changed since.
            plan: the plan that it was narrowed by.
        """
        return self.family.linear_fits(self, narrowed, plan)

    def fresh(self, seed: int) -> Model:
        """Return a model of the same shape with new random weights, for training from scratch.

        Constants of the data (energy shift and scale, mean number of neighbours) are kept.
        """
        return self.family.fresh(self, seed)

    def shift_energies(self, shifts: Mapping[int, float]) -> None:
        """Add constants per element (atomic number -> eV) to the atomic energies, in place."""
        self.family.shift_energies(self, shifts)

    def restrict_elements(self, elements: Iterable[int]) -> Model:
        """Return a model that knows only ``elements`` (atomic numbers), otherwise unchanged.

        Raises:
            UserError: if there are no elements, the model does not know one of them, or its family
                does not support this (`RestrictsElements`).
        """
        if not isinstance(self.family, RestrictsElements):
            raise UserError(
                f"models of the family {self.family.name} cannot be restricted to fewer elements"
            )
        return self.family.restrict_elements(self, elements)

    def cost_model(self, neighbours: float = NEIGHBOURS) -> CostModel:
        """Return a function from widths to cost, for ``neighbours`` edges per atom."""
        return self.family.cost_model(self, neighbours)

    def cost_terms(self) -> CostTerms:
        """Return a function from widths to the terms that determine the time of one call.

        The time is modelled as a weighted sum of the terms plus a constant; the weights are fitted
        to timed shapes on a machine. So terms should be few, separate costs whose relative size
        depends on the machine (kernel launches, memory traffic, operations, by the orders
        involved), and be summed over layers that run the same code. Their units are arbitrary.

        Returns:
            A function that returns the same names for all widths, and values that are not negative
            and never increase when a width decreases. Its values for a narrowed model equal those
            of the unpruned model at the same widths; terms missing in a narrowed model are zero
            there.
        """
        return self.family.cost_terms(self)

    def block_norms(self) -> dict[str, Tensor]:
        """Return norms of the weights that read each irreps block: group name -> ``[channels]``.

        This is the Euclidean norm over all weights that multiply the block, including the
        normalisation in the family's own code. The criterion ``magnitude`` uses it.
        """
        return self.family.block_norms(self)

    def weight_blocks(self) -> list[WeightBlock]:
        """Return the matrices of path and radial weights, which are scalars."""
        return self.family.weight_blocks(self)

    def parameter_roles(self) -> dict[str, str]:
        """Return the role of each trainable parameter in the network.

        Returns:
            Name in ``named_parameters()`` -> ``embedding`` (of elements), ``linear``
            (equivariant maps between features), ``radial`` (networks and bases of interatomic
            distances) or ``readout`` (from the last features to the energy).
        """
        return self.family.parameter_roles(self)

    def has_reflections(self) -> bool:
        """Return whether the architecture is equivariant under inversion as well as rotation.

        It is if its spherical harmonics have the parity that they have in space.
        """
        orders = (group.irrep for group in self.groups() if group.axis == "order")
        return all(has_natural_parity(irrep) for irrep in orders)

    def shape(self) -> dict[str, Any]:
        """Return the architecture for readers: irreps per layer, filter order, layers, cutoff."""
        return self.family.shape(self)


@dataclass(frozen=True)
class Batch:
    """Several structures as one graph.

    Attributes:
        inputs: the family's own graph, with the methods ``to`` and ``pin_memory`` of a tensor.
        num_atoms: number of atoms per structure, ``[structures]`` int64.
        structure: index of the structure of each atom, ``[atoms]`` int64.
        numbers: atomic numbers, ``[atoms]`` int64.

    Example:
        >>> batch = model.batch(structures)
        >>> batch.num_atoms, len(batch.to("cpu"))
        (tensor([2, 2, 2, 2]), 4)
    """

    inputs: Any
    num_atoms: Tensor
    structure: Tensor
    numbers: Tensor

    def to(self, device: torch.device | str, **kwargs: Any) -> Batch:
        """Return the batch on another device."""
        return self._each(lambda part: part.to(device, **kwargs))

    def pin_memory(self) -> Batch:
        """Return the batch in pinned memory, which a GPU copies from asynchronously."""
        return self._each(lambda part: part.pin_memory())

    def _each(self, function: Callable[[Any], Any]) -> Batch:
        return Batch(*(function(getattr(self, field.name)) for field in fields(self)))

    def __len__(self) -> int:
        return len(self.num_atoms)


@dataclass(frozen=True)
class Prediction:
    """A model's predictions for a batch.

    Attributes:
        energy: total energy in eV, ``[structures]``.
        forces: forces in eV/Å, ``[atoms, 3]``.
        stress: stress in eV/Å^3, ``[structures, 6]``, in Voigt order xx, yy, zz, yz, xz, xy with
            ASE's sign. Meaningless for structures without a periodic cell.
        atomic_energies: contribution of each atom to the energy in eV, ``[atoms]``; None if the
            code that ran does not tell (a family's own may not).

    Example:
        >>> prediction = model.predict(model.batch(structures))
        >>> prediction.energy.shape, prediction.forces.shape, prediction.stress.shape
        (torch.Size([4]), torch.Size([8, 3]), torch.Size([4, 6]))
    """

    energy: Tensor
    forces: Tensor
    stress: Tensor
    atomic_energies: Tensor | None = None
