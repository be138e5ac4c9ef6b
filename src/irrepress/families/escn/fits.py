"""The linear maps of an eSCN-MD network that compensation fits anew, in the network's order.

Of each layer: the second convolution along edges, whose messages are summed at atoms, and the
gates and both linear maps of the feed-forward network; last, the three linear maps of the
readout. Radial networks and the first convolutions stay as they are: edges come and go when
atoms are displaced, so that rows must be atoms. Biases are weights of one more input.
"""

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from irrepress.core.fits import LinearFit
from irrepress.core.model import Batch, Model, NativeModule
from irrepress.core.plan import Plan
from irrepress.families.escn import forward
from irrepress.families.escn.architecture import read_architecture
from irrepress.families.escn.layout import FEATURES, make_layout
from irrepress.families.escn.messages import MessageMap
from irrepress.families.generic.fits import Record, Run, State, StepFit
from irrepress.families.generic.layout import kept_indices


def linear_fits(parent: Model, narrowed: Model, plan: Plan) -> list[LinearFit]:
    """Return the fits; see `irrepress.core.family.Family.linear_fits`."""
    wide = read_architecture(parent.native)
    # Of maps with a matrix for each order, all have the same columns as that of order 0.
    outputs = {weights.parameter: weights.axes[0] for weights in reversed(make_layout(wide))}
    fits: list[LinearFit] = []

    def add(name: str, run: Run) -> None:
        columns = kept_indices(outputs[f"{name}.weight"], plan.keep)
        fits.append(_AtomFit(name, parent, narrowed, run, columns))

    def steps(step: int, *, last: bool = False) -> Run:
        return Run.between(_begin, forward.run, step, step + 1, last=last)

    for t in range(wide.layers):
        block = f"backbone.blocks.{t}"
        name, columns = f"{block}.edge_wise", torch.tensor(plan.keep[FEATURES])
        fits.append(_MessageFit(name, parent, narrowed, steps(2 * t, last=True), columns))
        add(f"{block}.atom_wise.scalar_mlp.0", steps(2 * t + 1))
        add(f"{block}.atom_wise.so3_linear_1", steps(2 * t + 1))
        add(f"{block}.atom_wise.so3_linear_2", steps(2 * t + 1, last=True))
    readout = Run(_begin, forward.run, forward.read_out)
    for place in (0, 2, 4):
        add(f"output_heads.{wide.head}.energy_block.{place}", readout)
    return fits


def _begin(model: Model, batch: Batch) -> forward.State:
    return forward.begin(model, batch.inputs)


class _Fit(StepFit):
    """The maps of one module.

    Args:
        name: of the module.
        parent: the wide model.
        narrowed: the narrow model.
        run: how both come to the module.
        columns: which channels of the parent's outputs are kept.
    """

    def __init__(self, name: str, parent: Model, narrowed: Model, run: Run, columns: Tensor):
        super().__init__(name, parent, narrowed, run)
        self._columns = columns

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

    def _outputs(self, features: Tensor) -> dict[str, Tensor]:
        """Return the kept channels of what leaves the parent's module."""
        kept = self._columns.to(features.device)
        return {irrep: each[:, kept] for irrep, each in _by_order(features).items()}


class _AtomFit(_Fit):
    """A map of features of atoms: of scalars, or one matrix for each order."""

    def seen(self, model: Model) -> list[NativeModule]:
        """See the base class."""
        return [model.network.get_submodule(self.name)]

    def views(self) -> dict[str, list[Tensor]]:
        """See the base class."""
        (module,) = self.seen(self._narrowed)
        matrices = module.weight[None] if module.weight.ndim == 2 else module.weight
        found = {f"{degree}e": [weight.T] for degree, weight in enumerate(matrices)}
        found["0e"].append(module.bias[None])
        return found

    def rows_of(
        self, parent: Record, narrowed: Record, state: State
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """See the base class."""
        (wide,), (small,) = parent.values(), narrowed.values()
        inputs = _by_order(small.entering)
        inputs["0e"] = torch.cat([inputs["0e"], torch.ones_like(inputs["0e"][:, :1])], dim=1)
        return inputs, self._outputs(wide.leaving)


class _MessageFit(_Fit):
    """The second convolution along edges, as maps of what its messages sum to at atoms."""

    def seen(self, model: Model) -> list[NativeModule]:
        """Return the convolution, whose inputs are looked at, and the whole, for its output."""
        module = model.network.get_submodule(self.name)
        return [module.so2_conv_2, module]

    def views(self) -> dict[str, list[Tensor]]:
        """See the base class."""
        convolution, _ = self.seen(self._narrowed)
        found = self._map().weights(convolution)
        return {irrep: [view.T for view in views] for irrep, views in found.items()}

    def rows_of(
        self, parent: Record, narrowed: Record, state: State
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """See the base class."""
        convolution, _ = self.seen(self._narrowed)
        hidden, atoms = narrowed[convolution].entering, len(state.features)
        inputs = self._map().sums(hidden, state.inverse, state.index[1], atoms)
        _, whole = self.seen(self._parent)
        return inputs, self._outputs(parent[whole].leaving)

    def _map(self) -> MessageMap:
        return MessageMap(read_architecture(self._narrowed.native))


def _by_order(features: Tensor) -> dict[str, Tensor]:
    """``[atoms, (lmax + 1)^2, channels]`` or ``[atoms, channels]`` -> irrep -> rows."""
    if features.ndim == 2:
        features = features[:, None]
    orders = range(round(features.shape[1] ** 0.5))
    return {f"{degree}e": features[:, degree**2 : (degree + 1) ** 2].mT for degree in orders}
