"""The linear maps of an eSCN-MD network that compensation fits anew, in the network's order.

Of each layer: the second convolution along edges, whose messages are summed at atoms, and the
gates and both linear maps of the feed-forward network; last, the three linear maps of the
readout. Radial networks and the first convolutions stay as they are: edges come and go when
atoms are displaced, so that rows must be atoms. Biases are weights of one more input.

Where a plan drops layers, the last map of the layer before them is fitted to what it added to the
features in the parent and all that they added besides. What layers before the first one that stays
added, the messages of that layer are fitted to.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

import torch
from torch import Tensor

from irrepress.core.fits import LinearFit
from irrepress.core.model import Batch, Model, NativeModule
from irrepress.core.plan import Plan
from irrepress.families.escn import forward
from irrepress.families.escn.architecture import read_architecture
from irrepress.families.escn.layout import FEATURES, make_layout
from irrepress.families.escn.messages import MessageMap
from irrepress.families.generic.depth import kept_in_parent
from irrepress.families.generic.fits import Record, Run, State, StepFit
from irrepress.families.generic.layout import kept_indices


def linear_fits(parent: Model, narrowed: Model, plan: Plan) -> list[LinearFit]:
    """Return the fits; see `irrepress.core.family.Family.linear_fits`."""
    wide = read_architecture(parent.native)
    layers = plan.layers or tuple(range(wide.layers))
    keep = kept_in_parent(parent, plan)
    # Of maps with a matrix for each order, all have the same columns as that of order 0.
    outputs = {weights.parameter: weights.axes[0] for weights in reversed(make_layout(wide))}
    fits: list[LinearFit] = []

    def add(
        name: str, of: str, run: Run, parent_run: Run | None = None, added: Sequence[str] = ()
    ) -> None:
        columns = kept_indices(outputs[f"{of}.weight"], keep)
        maps = _Maps(name, of, columns, added)
        fits.append(_AtomFit(maps, parent, narrowed, run, parent_run))

    def steps(start: int, stop: int, *, last: bool = False) -> Run:
        return Run.between(_begin, forward.run, start, stop, last=last)

    for place, (t, behind) in enumerate(pairwise([*layers, wide.layers])):
        block, of = f"backbone.blocks.{place}", f"backbone.blocks.{t}"
        before = range(0 if place == 0 else t, t)
        messages = _Maps(
            f"{block}.edge_wise", f"{of}.edge_wise", torch.tensor(keep[FEATURES]), _adding(before)
        )
        start = 2 * (t - len(before))
        run = steps(2 * place, 2 * place + 1, last=True)
        parent_run = steps(start, 2 * t + 1, last=True)
        fits.append(_MessageFit(messages, parent, narrowed, run, parent_run))
        run, parent_run = (steps(2 * i + 1, 2 * i + 2) for i in (place, t))
        for name in ("scalar_mlp.0", "so3_linear_1"):
            add(f"{block}.atom_wise.{name}", f"{of}.atom_wise.{name}", run, parent_run)
        add(
            f"{block}.atom_wise.so3_linear_2",
            f"{of}.atom_wise.so3_linear_2",
            steps(2 * place + 1, 2 * place + 2, last=True),
            steps(2 * t + 1, 2 * behind, last=True),
            _adding(range(t + 1, behind)),
        )
    readout = Run(_begin, forward.run, forward.read_out)
    for index in (0, 2, 4):
        name = f"output_heads.{wide.head}.energy_block.{index}"
        add(name, name, readout)
    return fits


def _adding(layers: Iterable[int]) -> list[str]:
    """Return the names of the modules of some layers whose outputs are added to the features."""
    return [f"backbone.blocks.{t}.{part}" for t in layers for part in ("edge_wise", "atom_wise")]


def _begin(model: Model, batch: Batch) -> forward.State:
    return forward.begin(model, batch.inputs)


@dataclass(frozen=True)
class _Maps:
    """The maps of one module, and what they are fitted to.

    Attributes:
        name: of the module in the narrow network.
        of: name of the module in the parent.
        columns: which channels of the parent's outputs are kept.
        added: names of further modules of the parent whose outputs are added to the module's.
    """

    name: str
    of: str
    columns: Tensor
    added: Sequence[str]


class _Fit(StepFit):
    """The maps of one module.

    Args:
        maps: the maps.
        parent: the wide model.
        narrowed: the narrow model.
        run: how the narrow model comes to the module.
        parent_run: how the parent comes to its own; None: as in ``run``.
    """

    def __init__(
        self, maps: _Maps, parent: Model, narrowed: Model, run: Run, parent_run: Run | None
    ):
        super().__init__(maps.name, parent, narrowed, run, parent_run)
        self._maps = maps

    @abstractmethod
    def views(self) -> dict[str, list[Tensor]]:
        """Return irrep -> views of the narrow model's weights, ``[inputs, outputs]`` each."""

    def weights(self) -> dict[str, Tensor]:
        """See the base class; inputs of all views come one after another."""
        return {irrep: torch.cat(views).detach().double() for irrep, views in self.views().items()}

    @torch.no_grad()
    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        """See the base class."""
        for irrep, views in self.views().items():
            if irrep in weights:
                parts = weights[irrep].split([len(view) for view in views])
                for view, part in zip(views, parts, strict=True):
                    view.copy_(part)

    def _module(self, model: Model) -> NativeModule:
        return model.network.get_submodule(
            self._maps.of if model is self._parent else self._maps.name
        )

    def _added(self, model: Model) -> list[NativeModule]:
        """Return further modules of the parent whose outputs count."""
        names = self._maps.added if model is self._parent else ()
        return [model.network.get_submodule(name) for name in names]

    def _outputs(self, parent: Record) -> dict[str, Tensor]:
        """Return the kept channels of what leaves the parent's modules."""
        modules = [self._module(self._parent), *self._added(self._parent)]
        features = reduce(torch.add, (parent[module].leaving for module in modules))
        kept = self._maps.columns.to(features.device)
        return {irrep: each[:, kept] for irrep, each in _by_order(features).items()}


class _AtomFit(_Fit):
    """A map of features of atoms: of scalars, or one matrix for each order."""

    def seen(self, model: Model) -> list[NativeModule]:
        """See the base class."""
        return [self._module(model), *self._added(model)]

    def views(self) -> dict[str, list[Tensor]]:
        """See the base class."""
        module = self._module(self._narrowed)
        matrices = module.weight[None] if module.weight.ndim == 2 else module.weight
        found = {f"{degree}e": [weight.T] for degree, weight in enumerate(matrices)}
        found["0e"].append(module.bias[None])
        return found

    def rows_of(
        self, parent: Record, narrowed: Record, state: State
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """See the base class."""
        inputs = _by_order(narrowed[self._module(self._narrowed)].entering)
        inputs["0e"] = torch.cat([inputs["0e"], torch.ones_like(inputs["0e"][:, :1])], dim=1)
        return inputs, self._outputs(parent)


class _MessageFit(_Fit):
    """The second convolution along edges, as maps of what its messages sum to at atoms."""

    def seen(self, model: Model) -> list[NativeModule]:
        """Return the convolution, whose inputs are looked at, and the whole, for its output."""
        module = self._module(model)
        return [module.so2_conv_2, module, *self._added(model)]

    def views(self) -> dict[str, list[Tensor]]:
        """See the base class."""
        convolution = self._module(self._narrowed).so2_conv_2
        found = self._map().weights(convolution)
        return {irrep: [view.T for view in views] for irrep, views in found.items()}

    def rows_of(
        self, parent: Record, narrowed: Record, state: State
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """See the base class."""
        convolution = self._module(self._narrowed).so2_conv_2
        hidden, atoms = narrowed[convolution].entering, len(state.features)
        inputs = self._map().sums(hidden, state.inverse, state.index[1], atoms)
        return inputs, self._outputs(parent)

    def _map(self) -> MessageMap:
        return MessageMap(read_architecture(self._narrowed.native))


def _by_order(features: Tensor) -> dict[str, Tensor]:
    """``[atoms, (lmax + 1)^2, channels]`` or ``[atoms, channels]`` -> irrep -> rows."""
    if features.ndim == 2:
        features = features[:, None]
    orders = range(round(features.shape[1] ** 0.5))
    return {f"{degree}e": features[:, degree**2 : (degree + 1) ** 2].mT for degree in orders}
