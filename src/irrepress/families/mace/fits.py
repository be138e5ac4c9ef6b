"""The linear maps of a MACE network that compensation fits anew, in the network's order.

Of each layer: ``linear_up``, which makes the features that are sent; ``linear`` behind the
convolution (``linear_res``, ``linear_1`` and ``linear_2`` of non-linear layers); and the map
behind the product of the atomic basis, together with the one by which features pass the layer if
that does not depend on the element. One that does stays, and the product makes up for it. After
each layer the readout of its features. Weights of products themselves are no linear maps of
features and stay.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from irrepress.core.fits import LinearFit, Pair, Progress, Rows
from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.families.mace.architecture import Architecture, read_architecture
from irrepress.families.mace.groups import feature_group, message_group, mixed_group
from irrepress.families.mace.linear import read_dense, write_dense
from irrepress.families.mace.narrow import gate_inputs
from irrepress.families.mace.package import Irreps, Linear
from irrepress.families.mace.stages import Stage, begin, run_layers, run_readout

# irrep -> indices of channels; absent irreps: all
Kept = Mapping[str, Tensor]


def linear_fits(parent: Model, narrowed: Model, plan: Plan) -> list[LinearFit]:
    """Return the fits; see `irrepress.core.family.Family.linear_fits`."""
    architecture = read_architecture(parent.network)
    small = read_architecture(narrowed.network)
    fits: list[LinearFit] = []
    layers = len(architecture.layers)
    offset = layers - len(narrowed.network.readouts)
    for t in range(layers):
        for names, columns in _maps(architecture, small, plan, t):
            fits.append(_Fit(parent, narrowed, t, names, columns))
        if t >= offset:
            index = t - offset
            readout = narrowed.network.readouts[index]
            for name in ("linear", "linear_1", "linear_mid", "linear_2"):
                if hasattr(readout, name):
                    columns = _readout_columns(architecture, plan, name)
                    path = f"readouts.{index}.{name}"
                    fits.append(_Fit(parent, narrowed, t + 1, [path], columns, readout=index))
    return fits


def _maps(
    architecture: Architecture, small: Architecture, plan: Plan, t: int
) -> list[tuple[list[str], Kept]]:
    """Return the maps of a layer, each with the output channels that are kept."""

    def kept(name: str) -> Tensor:
        return torch.tensor(plan.keep[name], dtype=torch.long)

    layer, basis = architecture.layers[t], architecture.basis
    inside = f"interactions.{t}"
    found: list[tuple[list[str], Kept]] = [
        ([f"{inside}.linear_up"], {ir: kept(message_group(t, ir)) for ir in layer.edges})
    ]
    mixed = mixed_group(layer.kind, t)
    last = dict.fromkeys(basis, kept(f"basis.{t}"))
    if layer.kind == "nonlinear":
        gates = gate_inputs(architecture, small, kept(f"gated.{t}"))
        found += [([f"{inside}.{name}"], gates) for name in ("linear_res", "linear_1")]
        found.append(([f"{inside}.linear_2"], last))
    else:
        columns = last if mixed is None else dict.fromkeys(basis, kept(mixed))
        found.append(([f"{inside}.linear"], columns))
    leaving = {ir: kept(feature_group(t + 1, ir)) for ir in architecture.features[t + 1]}
    skips = [f"{inside}.skip_tp"] if layer.kind != "selecting" else []
    found.append(([f"products.{t}.linear", *skips], leaving))
    return found


def _readout_columns(architecture: Architecture, plan: Plan, name: str) -> Kept:
    if name in ("linear", "linear_2"):
        return {}
    layer = 1 if name == "linear_mid" else 0
    parts = [
        torch.tensor(plan.keep[f"readout.{layer}.{h}"], dtype=torch.long) + h * architecture.readout
        for h in range(architecture.heads)
    ]
    return {"0e": torch.cat(parts)}


class _Fit(LinearFit):
    """Maps whose outputs are added.

    Args:
        parent: the wide model.
        narrowed: the narrow model.
        layer: the layer that holds the maps; of a readout, the one before which it runs.
        names: the modules; those that are no linear maps of features alone are not fitted.
        columns: which output channels of the parent the narrow model holds.
        readout: index of the readout that holds the maps.
    """

    def __init__(
        self,
        parent: Model,
        narrowed: Model,
        layer: int,
        names: Sequence[str],
        columns: Kept,
        readout: int | None = None,
    ):
        self.name = names[0]
        self._parent, self._narrowed = parent, narrowed
        self._layer, self._readout = layer, readout
        self._columns = columns
        self._wide = [parent.network.get_submodule(name) for name in names]
        small = [narrowed.network.get_submodule(name) for name in names]
        self._small = [module for module in small if isinstance(module, Linear)]
        self._fixed = [module for module in small if not isinstance(module, Linear)]

    def weights(self) -> dict[str, Tensor]:
        """See the base class; inputs of all maps come one after another."""
        dense = [read_dense(module) for module in self._small]
        irreps = {irrep: None for each in dense for irrep in each}
        return {
            irrep: torch.cat([each[irrep] for each in dense if irrep in each]) for irrep in irreps
        }

    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        """See the base class."""
        start = dict.fromkeys(weights, 0)
        for module in self._small:
            parts = {}
            for irrep, dense in read_dense(module).items():
                if irrep in weights:
                    end = start[irrep] + len(dense)
                    parts[irrep] = weights[irrep][start[irrep] : end].to(dense)
                    start[irrep] = end
            write_dense(module, parts)

    def rows(self, source: Pair | Progress) -> Rows:
        """See the base class."""
        if isinstance(source, Progress):
            parent, narrowed = source.parent, source.narrowed
        else:
            parent = begin(self._parent, source.parent)
            narrowed = begin(self._narrowed, source.narrowed)
        parent = run_layers(self._parent, parent, self._layer)
        narrowed = run_layers(self._narrowed, narrowed, self._layer)
        small = self._record(self._narrowed, narrowed, [*self._small, *self._fixed])
        wide = self._record(self._parent, parent, self._wide)
        inputs: dict[str, list[Tensor]] = {}
        for module in self._small:
            for irrep, features in _by_irrep(small[module][0], module.irreps_in).items():
                inputs.setdefault(irrep, []).append(features)
        total = sum(_unbiased(module, wide[module][1]) for module in self._wide)
        outputs = _by_irrep(total, self._wide[0].irreps_out)
        outputs = {ir: _take(features, self._columns.get(ir)) for ir, features in outputs.items()}
        for module in self._fixed:
            for irrep, features in _by_irrep(small[module][1], module.irreps_out).items():
                outputs[irrep] = outputs[irrep] - features
        fitted = self.weights()
        return Rows(
            {irrep: torch.cat(inputs[irrep], dim=1) for irrep in fitted},
            {irrep: outputs[irrep] for irrep in fitted},
            Progress(parent, narrowed),
        )

    def _record(
        self, model: Model, stage: Stage, modules: Sequence[torch.nn.Module]
    ) -> dict[torch.nn.Module, tuple[Tensor, Tensor]]:
        """Run on until all modules have run; return the first input and the output of each."""
        record: dict[torch.nn.Module, tuple[Tensor, Tensor]] = {}

        def hook(module: torch.nn.Module, inputs: Any, output: Tensor) -> None:
            record[module] = (inputs[0], output)
            if len(record) == len(modules):
                raise _EnoughError

        with ExitStack() as stack:
            for module in modules:
                stack.callback(module.register_forward_hook(hook).remove)
            try:
                if self._readout is None:
                    run_layers(model, stage, self._layer + 1)
                else:
                    run_readout(model, stage, self._readout)
            except _EnoughError:
                pass
        return record


class _EnoughError(Exception):
    """Ends a run of a network when all that is wanted of it has been seen."""


def _unbiased(module: torch.nn.Module, output: Tensor) -> Tensor:
    """Return a map's output without its biases, which are not fitted."""
    bias = getattr(module, "bias", None)
    return output - bias if bias is not None and bias.numel() else output


def _take(features: Tensor, kept: Tensor | None) -> Tensor:
    return features if kept is None else features[:, kept.to(features.device)]


def _by_irrep(features: Tensor, irreps: Irreps) -> dict[str, Tensor]:
    """``[rows, dimension]`` -> irrep -> ``[rows, channels, 2 l + 1]``, terms joined."""
    parts: dict[str, list[Tensor]] = {}
    sizes = [term.dim for term in irreps]
    for (channels, irrep), part in zip(irreps, features.split(sizes, dim=1), strict=True):
        parts.setdefault(str(irrep), []).append(part.reshape(len(part), channels, irrep.dim))
    return {irrep: torch.cat(found, dim=1) for irrep, found in parts.items()}
