"""The linear maps of a MACE network that compensation fits anew, in the network's order.

Of each layer: ``linear_up``, which makes the features that are sent; ``linear`` behind the
convolution (``linear_res``, ``linear_1`` and ``linear_2`` of non-linear layers); and the map
behind the product of the atomic basis, together with the one by which features pass the layer if
that does not depend on the element. One that does stays, and the product makes up for it. After
each layer the readout of its features. Weights of products themselves are no linear maps of
features and stay.
"""

from collections.abc import Iterator, Mapping
from functools import partial

import torch
from torch import Tensor

from irrepress.core.fits import LinearFit
from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.families.e3nn.fits import Columns, LinearMapsFit
from irrepress.families.generic.fits import Run
from irrepress.families.generic.layout import kept_indices
from irrepress.families.mace.architecture import Architecture, read_architecture
from irrepress.families.mace.groups import feature_group, message_group, mixed_group
from irrepress.families.mace.layout import gate_inputs, readout_axis
from irrepress.families.mace.stages import begin, run_layers, run_readout


def linear_fits(parent: Model, narrowed: Model, plan: Plan) -> list[LinearFit]:
    """Return the fits; see `irrepress.core.family.Family.linear_fits`."""
    architecture = read_architecture(parent.network)
    layers = len(architecture.layers)
    offset = layers - len(narrowed.network.readouts)
    fits: list[LinearFit] = []

    def add(run: Run, names: list[str], columns: Columns) -> None:
        fits.append(LinearMapsFit(names[0], parent, narrowed, run, names, columns))

    for t in range(layers):
        *maps, last = _maps(architecture, plan, t)
        for names, columns in maps:
            add(Run.between(begin, run_layers, t, t + 1), names, columns)
        add(Run.between(begin, run_layers, t, t + 1, last=True), *last)
        if t >= offset:
            readout = narrowed.network.readouts[t - offset]
            run = Run(
                begin,
                partial(run_layers, layer=t + 1),
                partial(run_readout, index=t - offset),
            )
            for name in ("linear", "linear_1", "linear_mid", "linear_2"):
                if hasattr(readout, name):
                    columns = _readout_columns(architecture, plan, name)
                    path = f"readouts.{t - offset}.{name}"
                    add(run, [path], columns)
    return fits


def _maps(architecture: Architecture, plan: Plan, t: int) -> Iterator[tuple[list[str], Columns]]:
    """Yield the maps of a layer that are fitted together, with the channels that are kept."""

    def kept(name: str) -> Tensor:
        return torch.tensor(plan.keep[name], dtype=torch.long)

    def of_basis(group: str) -> Mapping[str, Tensor]:
        return dict.fromkeys(architecture.basis, kept(group))

    layer, inside = architecture.layers[t], f"interactions.{t}"
    yield [f"{inside}.linear_up"], {ir: kept(message_group(t, ir)) for ir in layer.edges}
    if layer.kind == "nonlinear":
        gates = {
            ir: kept_indices(axis, plan.keep) for ir, axis in gate_inputs(architecture, t).items()
        }
        yield [f"{inside}.linear_res"], gates
        yield [f"{inside}.linear_1"], gates
        yield [f"{inside}.linear_2"], of_basis(f"basis.{t}")
    else:
        yield [f"{inside}.linear"], of_basis(mixed_group(layer.kind, t) or f"basis.{t}")
    leaving = {ir: kept(feature_group(t + 1, ir)) for ir in architecture.features[t + 1]}
    skips = [f"{inside}.skip_tp"] if layer.kind != "selecting" else []
    yield [f"products.{t}.linear", *skips], leaving


def _readout_columns(architecture: Architecture, plan: Plan, name: str) -> Columns:
    if name in ("linear", "linear_2"):
        return {}
    layer = 1 if name == "linear_mid" else 0
    return {"0e": kept_indices(readout_axis(architecture, layer), plan.keep)}
