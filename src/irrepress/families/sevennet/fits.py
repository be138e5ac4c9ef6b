"""The linear maps of a SevenNet network that compensation fits anew, in the network's order.

Of each layer: ``self_interaction_1``, which makes the features that are sent, and then what
enters the gate, ``self_interaction_2`` of the messages plus ``self_connection_intro`` of the
features. Both are fitted together; a self-connection that depends on the element stays, and
the messages make up for it. Last, the linear readout, as one map to the atomic energy.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from e3nn.o3 import Irreps, Linear
from torch import Tensor

from irrepress.core.fits import LinearFit, Pair, Progress, Rows
from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.families.generic.layout import kept_indices
from irrepress.families.sevennet.architecture import ENERGY, HIDDEN, RESCALE, read_architecture
from irrepress.families.sevennet.gates import message_group
from irrepress.families.sevennet.graph import begin, run_until
from irrepress.families.sevennet.layout import gate_inputs

# irrep -> indices of channels
Kept = dict[str, Tensor]


def linear_fits(parent: Model, narrowed: Model, plan: Plan) -> list[LinearFit]:
    """Return the fits; see `irrepress.core.family.Family.linear_fits`."""
    architecture = read_architecture(parent.network)
    fits: list[LinearFit] = []
    for t in range(architecture.layers):
        sent = _indices(plan, {ir: message_group(t, ir) for ir in architecture.features[t]})
        start = next(name for name in parent.network._modules if name.startswith(f"{t}_"))
        place = (start, f"{t}_convolution")
        names = [f"{t}_self_interaction_1"]
        fits.append(_LayerFit(parent, narrowed, *place, names, sent, last=False))
        inputs = gate_inputs(architecture, t + 1)
        columns = {ir: kept_indices(axis, plan.keep) for ir, axis in inputs.items()}
        names = [f"{t}_self_interaction_2", f"{t}_self_connection_intro"]
        place = (start, f"{t}_equivariant_gate")
        fits.append(_LayerFit(parent, narrowed, *place, names, columns, last=True))
    if not architecture.mlp_readout:
        fits.append(_ReadoutFit(parent, narrowed))
    return fits


class _LayerFit(LinearFit):
    """Maps of one layer whose outputs are added.

    Args:
        parent: the wide model.
        narrowed: the narrow model.
        start: first module of the layer.
        last: whether these are the layer's last maps.
        stop: module that runs next; networks are run no further.
        names: the modules; those that are no linear maps of the features alone are not fitted.
        columns: which output channels of the parent the narrow model holds.
    """

    def __init__(
        self,
        parent: Model,
        narrowed: Model,
        start: str,
        stop: str,
        names: Sequence[str],
        columns: Kept,
        *,
        last: bool,
    ):
        self.name = names[0]
        self._parent, self._narrowed = parent, narrowed
        self._start, self._stop = start, stop
        self._last = last
        self._columns = columns
        self._wide = [_map(parent, name) for name in names]
        small = [_map(narrowed, name) for name in names]
        self._small = [module for module in small if isinstance(module, Linear)]
        self._fixed = [module for module in small if not isinstance(module, Linear)]

    def weights(self) -> dict[str, Tensor]:
        """See the base class; inputs of all maps come one after another."""
        return {
            irrep: torch.cat([w.detach().double() * factor for _, w, factor in views])
            for irrep, views in self._views().items()
        }

    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        """See the base class."""
        with torch.no_grad():
            for irrep, views in self._views().items():
                start = 0
                for size, view, factor in views:
                    if irrep in weights:
                        view.copy_(weights[irrep][start : start + size] / factor)
                    start += size

    def rows(self, source: Pair | Progress) -> Rows:
        """See the base class."""
        source = _progress(source)
        entered = run_until(self._parent, source.parent, self._start)
        begun = run_until(self._narrowed, source.narrowed, self._start)
        with _recorded([*self._small, *self._fixed]) as small:
            run_until(self._narrowed, begun, self._stop)
        with _recorded(self._wide) as wide:
            left = run_until(self._parent, entered, self._stop)
        inputs: dict[str, list[Tensor]] = {}
        for module in self._small:
            for irrep, features in _by_irrep(small[module][0], module.irreps_in).items():
                inputs.setdefault(irrep, []).append(features)
        total = sum(wide[module][1] for module in self._wide)
        outputs = _by_irrep(total, self._wide[0].irreps_out)
        outputs = {ir: outputs[ir][:, kept] for ir, kept in self._columns.items() if len(kept)}
        for module in self._fixed:
            for irrep, features in _by_irrep(small[module][1], module.irreps_out).items():
                outputs[irrep] = outputs[irrep] - features
        joined = {irrep: torch.cat(parts, dim=1) for irrep, parts in inputs.items()}
        # The parent's weights stay, so that it need not come back to a layer that is done.
        return Rows(joined, outputs, Progress(left if self._last else entered, begun))

    def _views(self) -> dict[str, list[tuple[int, Tensor, float]]]:
        """Return irrep -> inputs, weights and e3nn's factor, in the order of the inputs."""
        views: dict[str, list[tuple[int, Tensor, float]]] = {}
        for module in self._small:
            for path, weight in _views(module):
                irrep = str(module.irreps_out[path.i_out].ir)
                views.setdefault(irrep, []).append((len(weight), weight, path.path_weight))
        return views


class _ReadoutFit(LinearFit):
    """The two linear maps of the readout as one, from the features to the atomic energy."""

    name = HIDDEN

    def __init__(self, parent: Model, narrowed: Model):
        self._parent, self._narrowed = parent, narrowed
        self._hidden, self._energy = _map(narrowed, HIDDEN), _map(narrowed, ENERGY)
        self._wide = _map(parent, ENERGY)

    def weights(self) -> dict[str, Tensor]:
        """See the base class."""
        return {"0e": self._first() @ self._second()}

    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Make the smallest change of the first map that gives the product."""
        if "0e" not in weights:
            return
        second = self._second()
        change = weights["0e"].to(second) - self._first() @ second
        first = self._first() + change @ second.T / second.square().sum()
        start = 0
        with torch.no_grad():
            for path, weight in _views(self._hidden):
                weight.copy_(first[start : start + len(weight)] / path.path_weight)
                start += len(weight)

    def rows(self, source: Pair | Progress) -> Rows:
        """See the base class."""
        source = _progress(source)
        begun = run_until(self._narrowed, source.narrowed, HIDDEN)
        with _recorded([self._hidden]) as small:
            run_until(self._narrowed, begun, RESCALE)
        with _recorded([self._wide]) as wide:
            run_until(self._parent, source.parent, RESCALE)
        inputs = {"0e": small[self._hidden][0][:, :, None]}
        outputs = {"0e": wide[self._wide][1][:, :, None]}
        return Rows(inputs, outputs, Progress(source.parent, begun))

    def _first(self) -> Tensor:
        views = _views(self._hidden)
        return torch.cat([w.detach().double() * path.path_weight for path, w in views])

    def _second(self) -> Tensor:
        ((path, weight),) = _views(self._energy)
        return weight.detach().double() * path.path_weight


def _progress(source: Pair | Progress) -> Progress:
    """Return where both networks are; at their start if batches are given."""
    if isinstance(source, Progress):
        return source
    return Progress(begin(source.parent), begin(source.narrowed))


def _views(module: Linear) -> list[tuple[Any, Tensor]]:
    """Return e3nn's paths with their weights ``[inputs, outputs]``, in the order of the inputs."""
    if module.weight_numel == 0:
        return []
    found = [(path, weight) for _, path, weight in module.weight_views(yield_instruction=True)]
    return sorted(found, key=lambda view: view[0].i_in)


def _map(model: Model, name: str) -> torch.nn.Module:
    """Return e3nn's module within one of sevenn's."""
    module = model.network._modules[name]
    return module.linear if hasattr(module, "linear") else module.fc_tensor_product


def _indices(plan: Plan, groups: Mapping[str, str]) -> Kept:
    return {ir: torch.tensor(plan.keep[name], dtype=torch.long) for ir, name in groups.items()}


def _by_irrep(features: Tensor, irreps: Irreps) -> dict[str, Tensor]:
    """``[rows, dimension]`` -> irrep -> ``[rows, channels, 2 l + 1]``, terms joined."""
    parts: dict[str, list[Tensor]] = {}
    sizes = [term.dim for term in irreps]
    for (channels, irrep), part in zip(irreps, features.split(sizes, dim=1), strict=True):
        parts.setdefault(str(irrep), []).append(part.reshape(len(part), channels, irrep.dim))
    return {irrep: torch.cat(found, dim=1) for irrep, found in parts.items()}


@contextmanager
def _recorded(
    modules: Sequence[torch.nn.Module],
) -> Iterator[dict[torch.nn.Module, tuple[Tensor, Tensor]]]:
    """Record first input and output of modules while the context lasts."""
    record: dict[torch.nn.Module, tuple[Tensor, Tensor]] = {}
    with ExitStack() as stack:
        for module in modules:
            handle = module.register_forward_hook(
                lambda module, inputs, output: record.update({module: (inputs[0], output)})
            )
            stack.callback(handle.remove)
        yield record
