"""Building the smaller MACE network that a plan describes."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from irrepress.core.model import Model, NativeModule
from irrepress.core.plan import Plan
from irrepress.families.mace.architecture import Architecture, Layer, Path, order, read_architecture
from irrepress.families.mace.checkpoint import adopt, make_model
from irrepress.families.mace.config import build_network
from irrepress.families.mace.contraction import contractions, narrow_contraction
from irrepress.families.mace.groups import (
    feature_group,
    filter_group,
    make_groups,
    message_group,
    mixed_group,
)
from irrepress.families.mace.linear import (
    Kept,
    fully_connected,
    narrow_dense,
    select,
    set_fully_connected,
)
from irrepress.families.mace.package import FullyConnectedNet


def narrow(model: Model, plan: Plan) -> Model:
    """Build the narrow model; see `irrepress.core.family.Family.narrow`."""
    architecture = read_architecture(model.network)
    plan.check(make_groups(architecture))
    network = build_network(narrow_config(model.native, architecture, plan), model.dtype)
    done = _Narrowing(model.network, network, architecture, plan).run()
    adopt(model.network, network, done)
    return make_model(network, model.modal).to(model.device)


def narrow_config(
    config: Mapping[str, Any], architecture: Architecture, plan: Plan
) -> dict[str, Any]:
    """Return the constructor's arguments of the narrow network."""
    narrowed = copy.deepcopy(dict(config))
    layers = len(architecture.layers)
    source = architecture.features[min(1, layers - 1) if layers > 1 else 0]
    hidden = _irreps({ir: len(plan.keep[feature_group(min(1, layers - 1), ir)]) for ir in source})
    narrowed["hidden_irreps"] = hidden
    if layers > 1:
        sent = architecture.layers[1].edges
        edges = _irreps({ir: len(plan.keep[message_group(1, ir)]) for ir in sent})
        # As in the constructor: without the argument, messages are as wide as features.
        if config["edge_irreps"] is not None or edges != hidden:
            narrowed["edge_irreps"] = edges
    narrowed["max_ell"] = max(order(ir) for ir in architecture.basis if plan.keep[filter_group(ir)])
    narrowed["correlation"] = [len(plan.keep[f"correlation.{t}"]) for t in range(layers)]
    narrowed["radial_MLP"] = [
        len(plan.keep[f"radial.0.{i}"]) for i in range(len(architecture.radial))
    ]
    if architecture.readout:
        narrowed["MLP_irreps"] = f"{len(plan.keep['readout.0.0'])}x0e"
    leaving = architecture.features[-1]
    last = {ir: plan.keep[feature_group(layers, ir)] for ir in leaving}
    narrowed["keep_last_layer_irreps"] = layers > 1 and any(
        kept for ir, kept in last.items() if order(ir) > 0
    )
    return narrowed


def _irreps(channels: Mapping[str, int]) -> str:
    return "+".join(f"{count}x{irrep}" for irrep, count in channels.items() if count)


class _Narrowing:
    """Copies what is kept, module after module."""

    def __init__(
        self,
        wide: NativeModule,
        narrow: NativeModule,
        architecture: Architecture,
        plan: Plan,
    ):
        self._wide, self._narrow = wide, narrow
        self._architecture, self._plan = architecture, plan
        self._small = read_architecture(narrow)
        self._done: list[NativeModule] = []

    def run(self) -> list[NativeModule]:
        """Return the modules of the narrow network that are complete."""
        old, new = self._wide, self._narrow
        columns = self._features(0)
        self._dense(old.node_embedding.linear, new.node_embedding.linear, {}, columns)
        for t, layer in enumerate(self._architecture.layers):
            self._messages(t, layer)
            self._radial(t, layer)
            self._mixing(t, layer)
            self._product(t, layer)
        offset = len(self._architecture.layers) - len(new.readouts)
        for i, (wide, small) in enumerate(zip(old.readouts, new.readouts, strict=True)):
            self._readout(wide, small, self._features(i + offset + 1))
        return self._done

    def _kept(self, name: str) -> Tensor:
        return torch.tensor(self._plan.keep[name], dtype=torch.long)

    def _features(self, t: int) -> dict[str, Tensor]:
        return {ir: self._kept(feature_group(t, ir)) for ir in self._architecture.features[t]}

    def _sent(self, t: int, layer: Layer) -> dict[str, Tensor]:
        return {ir: self._kept(message_group(t, ir)) for ir in layer.edges}

    def _all_orders(self, name: str) -> dict[str, Tensor]:
        return dict.fromkeys(self._architecture.basis, self._kept(name))

    def _dense(self, wide: Any, small: Any, rows: Kept, columns: Kept) -> None:
        narrow_dense(wide, small, rows, columns)
        self._done.append(small)

    def _messages(self, t: int, layer: Layer) -> None:
        """Narrow what makes messages and passes features on."""
        old, new = self._wide.interactions[t], self._narrow.interactions[t]
        entering, leaving = self._features(t), self._features(t + 1)
        self._dense(old.linear_up, new.linear_up, entering, self._sent(t, layer))
        if layer.kind == "selecting":
            columns = self._all_orders(f"basis.{t}")
            rows = self._all_orders(f"selected.{t}")
            self._dense(old.skip_tp, new.skip_tp, rows, columns)
        else:
            self._dense(old.skip_tp, new.skip_tp, entering, leaving)
        if layer.kind == "nonlinear":
            for name in ("source", "target"):
                kept = {"0e": self._kept(f"{name}.{t}")}
                wide, small = (getattr(each, f"{name}_embedding") for each in (old, new))
                self._dense(wide, small, {}, kept)

    def _mixing(self, t: int, layer: Layer) -> None:
        """Narrow what turns messages into the atomic basis."""
        old, new = self._wide.interactions[t], self._narrow.interactions[t]
        rows = self._message_rows(t, layer)
        basis = self._all_orders(f"basis.{t}")
        if layer.kind == "nonlinear":
            inputs = gate_inputs(self._architecture, self._small, self._kept(f"gated.{t}"))
            self._dense(old.linear_1, new.linear_1, rows, inputs)
            self._dense(old.linear_res, new.linear_res, self._sent(t, layer), inputs)
            self._dense(old.linear_2, new.linear_2, self._all_orders(f"gated.{t}"), basis)
        else:
            mixed = mixed_group(layer.kind, t)
            columns = basis if mixed is None else self._all_orders(mixed)
            self._dense(old.linear, new.linear, rows, columns)

    def _path_of(self, t: int, layer: Layer) -> list[tuple[Path, Path]]:
        """Pair the paths of the narrow convolution with the wide one's."""
        known = {(path.source, path.filter, path.target): path for path in layer.paths}
        small = self._small.layers[t].paths
        return [(path, known[path.source, path.filter, path.target]) for path in small]

    def _message_rows(self, t: int, layer: Layer) -> dict[str, Tensor]:
        """Return which rows of the map behind the convolution are kept, by irrep."""
        sent = self._sent(t, layer)
        rows: dict[str, list[Tensor]] = {}
        for path, wide in self._path_of(t, layer):
            rows.setdefault(path.target, []).append(wide.row + sent[path.source])
        return {irrep: torch.cat(parts) for irrep, parts in rows.items()}

    def _radial(self, t: int, layer: Layer) -> None:
        """Narrow the networks of distances."""
        old, new = self._wide.interactions[t], self._narrow.interactions[t]
        sent = self._sent(t, layer)
        columns = [wide.offset + sent[wide.source] for _, wide in self._path_of(t, layer)]
        inputs = None
        if layer.kind == "nonlinear":
            basis, channels = self._wide.radial_embedding.out_dim, self._architecture.channels
            source, target = self._kept(f"source.{t}"), self._kept(f"target.{t}")
            inputs = torch.cat([torch.arange(basis), basis + source, basis + channels + target])
        hidden = [self._kept(f"radial.{t}.{i}") for i in range(len(self._architecture.radial))]
        sizes = [inputs, *hidden, torch.cat(columns)]
        _narrow_network(old.conv_tp_weights, new.conv_tp_weights, sizes)
        self._done.append(new.conv_tp_weights)
        if layer.kind == "nonlinear":
            _narrow_network(old.density_fn, new.density_fn, [inputs, None, None])
            self._done.append(new.density_fn)

    def _product(self, t: int, layer: Layer) -> None:
        """Narrow the products of the atomic basis with itself and the map behind them."""
        old, new = self._wide.products[t], self._narrow.products[t]
        channels, wide = self._kept(f"basis.{t}"), contractions(self._wide, t)
        for irrep, small in contractions(self._narrow, t).items():
            narrow_contraction(wide[irrep], small, channels, None)
            self._done.append(small)
        rows = dict.fromkeys(self._architecture.features[t + 1], channels)
        self._dense(old.linear, new.linear, rows, self._features(t + 1))

    def _readout(self, wide: NativeModule, small: NativeModule, rows: Kept) -> None:
        if not hasattr(wide, "linear_1"):
            self._dense(wide.linear, small.linear, rows, {})
            return
        width = self._architecture.readout
        heads = range(self._architecture.heads)
        hidden = [
            torch.cat([self._kept(f"readout.{i}.{h}") + h * width for h in heads])
            for i in range(self._architecture.readout_layers)
        ]
        names = ["linear_1", "linear_mid", "linear_2"]
        names = [name for name in names if hasattr(wide, name)]
        sizes = [rows, *({"0e": kept} for kept in hidden), {}]
        for name, first, second in zip(names, sizes, sizes[1:], strict=False):
            self._dense(getattr(wide, name), getattr(small, name), first, second)


def gate_inputs(wide: Architecture, small: Architecture, kept: Tensor) -> dict[str, Tensor]:
    """Return which inputs of a gate are kept: scalars, then those that gate each order.

    Args:
        wide: the large network.
        small: the small network.
        kept: the channels that are kept, of all orders alike.
    """
    gates = [kept + wide.channels * i for i in range(len(small.basis))]
    return {**dict.fromkeys(wide.basis, kept), "0e": torch.cat(gates)}


@torch.no_grad()
def _narrow_network(wide: NativeModule, small: NativeModule, sizes: list[Tensor | None]) -> None:
    """Copy a radial network.

    Args:
        wide: the network of the large model.
        small: the network of the small model.
        sizes: indices of what is kept of inputs, hidden layers and outputs; None: all.
    """
    if isinstance(wide, FullyConnectedNet):
        weights = []
        for index, weight in enumerate(fully_connected(wide)):
            weights.append(select(select(weight, 0, sizes[index]), 1, sizes[index + 1]))
        set_fully_connected(small, weights)
        return
    index = -1
    for old, new in zip(wide.net, small.net, strict=True):
        if isinstance(old, torch.nn.Linear):
            index += 1
            new.weight.copy_(select(select(old.weight, 1, sizes[index]), 0, sizes[index + 1]))
            new.bias.copy_(select(old.bias, 0, sizes[index + 1]))
        elif isinstance(old, torch.nn.LayerNorm):
            new.weight.copy_(select(old.weight, 0, sizes[index + 1]))
            new.bias.copy_(select(old.bias, 0, sizes[index + 1]))
