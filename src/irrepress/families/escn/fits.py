"""The linear maps of an eSCN-MD network that compensation fits anew, in the network's order.

Of each layer: the second convolution along edges, whose messages are summed at atoms, and the
gates and both linear maps of the feed-forward network; last, the three linear maps of the
readout. Radial networks and the first convolutions stay as they are: edges come and go when
atoms are displaced, so that rows must be atoms. Biases are weights of one more input.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from irrepress.core.fits import LinearFit, Pair, Progress, Rows
from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.families.escn import forward
from irrepress.families.escn.architecture import read_architecture
from irrepress.families.escn.forward import State
from irrepress.families.escn.layout import FEATURES, make_layout
from irrepress.families.escn.messages import MessageMap
from irrepress.families.generic.layout import kept_indices


def linear_fits(parent: Model, narrowed: Model, plan: Plan) -> list[LinearFit]:
    """Return the fits; see `irrepress.core.family.Family.linear_fits`."""
    wide = read_architecture(parent.native)
    # Of maps with a matrix for each order, all have the same columns as that of order 0.
    outputs = {weights.parameter: weights.axes[0] for weights in reversed(make_layout(wide))}
    fits: list[LinearFit] = []
    for t in range(wide.layers):
        block = f"backbone.blocks.{t}"
        columns = torch.tensor(plan.keep[FEATURES])
        fits.append(_MessageFit(parent, narrowed, f"{block}.edge_wise", 2 * t, columns))
        for module in ("scalar_mlp.0", "so3_linear_1", "so3_linear_2"):
            name = f"{block}.atom_wise.{module}"
            columns = kept_indices(outputs[f"{name}.weight"], plan.keep)
            fits.append(_AtomFit(parent, narrowed, name, 2 * t + 1, columns))
    for place in (0, 2, 4):
        name = f"output_heads.{wide.head}.energy_block.{place}"
        columns = kept_indices(outputs[f"{name}.weight"], plan.keep)
        fits.append(_AtomFit(parent, narrowed, name, 2 * wide.layers, columns))
    return fits


@dataclass(frozen=True)
class _Seen:
    """What a module of a network got and gave, and the network's state before its step."""

    state: State
    inputs: Tensor
    output: Tensor


class _Fit(LinearFit):
    """The maps of one module.

    Args:
        parent: the wide model.
        narrowed: the narrow model.
        name: of the module.
        step: how many steps come before the one that the module is part of.
        columns: which channels of the parent's outputs are kept.
    """

    def __init__(self, parent: Model, narrowed: Model, name: str, step: int, columns: Tensor):
        self.name = name
        self._parent, self._narrowed = parent, narrowed
        self._step, self._columns = step, columns

    def _see(self, source: Pair | Progress) -> tuple[_Seen, _Seen, Progress]:
        """Run the parent and the narrowed model through the module's step."""
        models = self._parent, self._narrowed
        with torch.no_grad():
            states = source.parent, source.narrowed
            if isinstance(source, Pair):
                states = tuple(
                    forward.begin(model, batch.inputs)
                    for model, batch in zip(models, states, strict=True)
                )
            seen = []
            for model, state in zip(models, states, strict=True):
                state = forward.run(model, state, self._step)
                module = model.network.get_submodule(self.name)
                with _recorded(self._inner(module), module) as record:
                    _advance(model, state)
                seen.append(_Seen(state, *record))
        return *seen, Progress(seen[0].state, seen[1].state)

    def _inner(self, module: torch.nn.Module) -> torch.nn.Module:
        """Return the module whose inputs are recorded; outputs are those of the whole."""
        return module


class _AtomFit(_Fit):
    """A map of features of atoms: of scalars, or one matrix for each order."""

    def weights(self) -> dict[str, Tensor]:
        """See the base class."""
        found = {}
        for irrep, weight, bias in self._parts():
            rows = [weight.T] if bias is None else [weight.T, bias[None]]
            found[irrep] = torch.cat(rows).detach().double()
        return found

    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        """See the base class."""
        with torch.no_grad():
            for irrep, weight, bias in self._parts():
                if irrep in weights:
                    inputs = weight.shape[1]
                    weight.copy_(weights[irrep][:inputs].T)
                    if bias is not None:
                        bias.copy_(weights[irrep][inputs])

    def rows(self, source: Pair | Progress) -> Rows:
        """See the base class."""
        wide, small, progress = self._see(source)
        inputs = _by_order(small.inputs)
        inputs["0e"] = torch.cat([inputs["0e"], torch.ones_like(inputs["0e"][:, :1])], dim=1)
        outputs = _by_order(wide.output)
        kept = self._columns.to(wide.output.device)
        return Rows(inputs, {irrep: outputs[irrep][:, kept] for irrep in inputs}, progress)

    def _parts(self) -> Iterator[tuple[str, Tensor, Tensor | None]]:
        """Yield irrep, weight ``[outputs, inputs]`` and, of scalars, bias."""
        module = self._narrowed.network.get_submodule(self.name)
        if module.weight.ndim == 2:
            yield "0e", module.weight, module.bias
            return
        for degree, weight in enumerate(module.weight):
            yield f"{degree}e", weight, None if degree else module.bias


class _MessageFit(_Fit):
    """The second convolution along edges, as maps of what its messages sum to at atoms."""

    def __init__(self, parent: Model, narrowed: Model, name: str, step: int, columns: Tensor):
        super().__init__(parent, narrowed, name, step, columns)
        self._map = MessageMap(read_architecture(narrowed.native))

    def weights(self) -> dict[str, Tensor]:
        """See the base class."""
        found = self._map.weights(self._convolution(self._narrowed))
        return {irrep: torch.cat(views, 1).T.detach().double() for irrep, views in found.items()}

    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        """See the base class."""
        with torch.no_grad():
            for irrep, views in self._map.weights(self._convolution(self._narrowed)).items():
                start = 0
                for view in views:
                    if irrep in weights:
                        view.copy_(weights[irrep][start : start + view.shape[1]].T)
                    start += view.shape[1]

    def rows(self, source: Pair | Progress) -> Rows:
        """See the base class."""
        wide, small, progress = self._see(source)
        state = small.state
        atoms = len(state.features)
        inputs = self._map.sums(small.inputs, state.inverse, state.index[1], atoms)
        outputs = _by_order(wide.output)
        kept = self._columns.to(wide.output.device)
        return Rows(inputs, {irrep: outputs[irrep][:, kept] for irrep in inputs}, progress)

    def _inner(self, module: torch.nn.Module) -> torch.nn.Module:
        return module.so2_conv_2

    def _convolution(self, model: Model) -> torch.nn.Module:
        return self._inner(model.network.get_submodule(self.name))


def _by_order(features: Tensor) -> dict[str, Tensor]:
    """``[atoms, (lmax + 1)^2, channels]`` or ``[atoms, channels]`` -> irrep -> rows."""
    if features.ndim == 2:
        features = features[:, None]
    orders = range(round(features.shape[1] ** 0.5))
    return {f"{degree}e": features[:, degree**2 : (degree + 1) ** 2].mT for degree in orders}


def _advance(model: Model, state: State) -> None:
    """Run the step that a state comes before, or the readout."""
    if state.step < 2 * len(model.network.backbone.blocks):
        forward.run(model, state, state.step + 1)
    else:
        forward.read_out(model, state)


@contextmanager
def _recorded(inner: torch.nn.Module, outer: torch.nn.Module) -> Iterator[Sequence[Any]]:
    """Record the first input of one module and the output of another: a list of both."""
    record: list[Any] = [None, None]

    def on_input(module: Any, inputs: Any) -> None:
        record[0] = inputs[0]

    def on_output(module: Any, inputs: Any, output: Any) -> None:
        record[1] = output

    with ExitStack() as stack:
        stack.callback(inner.register_forward_pre_hook(on_input).remove)
        stack.callback(outer.register_forward_hook(on_output).remove)
        yield record
