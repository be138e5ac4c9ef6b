"""The linear maps of a MACE network that compensation fits anew, in the network's order.

Of each layer: ``linear_up``, which makes the features that are sent; ``linear`` behind the
convolution (``linear_res``, ``linear_1`` and ``linear_2`` of non-linear layers); and the map
behind the product of the atomic basis, together with the one by which features pass the layer if
that does not depend on the element. One that does stays, and the product makes up for it. After
each layer the readout of its features. Weights of products themselves are no linear maps of
features and stay.

Where a plan drops layers, what leaves the layer before them is fitted to what leaves the last of
them, the features that the next layer was trained to read, and its readout to what all of their
readouts contribute to the energy. What leaves a single layer is scalars, as in the parent.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from irrepress.core.fits import LinearFit
from irrepress.core.model import Model, NativeModule
from irrepress.core.plan import Plan
from irrepress.families.e3nn.fits import Columns, LinearMapsFit
from irrepress.families.generic.depth import kept_in_parent
from irrepress.families.generic.fits import Run
from irrepress.families.generic.layout import kept_indices
from irrepress.families.mace.architecture import Architecture, Layer, read_architecture
from irrepress.families.mace.groups import feature_group, message_group, mixed_group
from irrepress.families.mace.layout import gate_inputs, readout_axis
from irrepress.families.mace.stages import begin, run_layers, run_readouts

# Names of maps.
Maps = list[str]
# Group of the parent -> channels that stay.
Keep = Mapping[str, Sequence[int]]


def linear_fits(parent: Model, narrowed: Model, plan: Plan) -> list[LinearFit]:
    """Return the fits; see `irrepress.core.family.Family.linear_fits`."""
    architecture = read_architecture(parent.network)
    count = len(architecture.layers)
    layers = plan.layers or tuple(range(count))
    keep = kept_in_parent(parent, plan)
    fits: list[LinearFit] = []

    def add(maps: Maps, of: Maps, run: Run, parent_run: Run, columns: Columns) -> None:
        """Add a fit of maps to maps of the parent."""
        fit = LinearMapsFit(maps[0], parent, narrowed, run, maps, columns, parent_run, of)
        fits.append(fit)

    for place, (t, behind) in enumerate(pairwise([*layers, count])):
        # The features of a single layer stay those that its own readout was trained to read.
        reads = behind if len(layers) > 1 else t + 1
        run, parent_run = (Run.between(begin, run_layers, i, i + 1) for i in (place, t))
        for name, columns in _maps(architecture, keep, t):
            maps, of = ([f"interactions.{i}.{name}"] for i in (place, t))
            add(maps, of, run, parent_run, columns)
        leaving = {
            ir: torch.tensor(keep[feature_group(reads, ir)], dtype=torch.long)
            for ir in architecture.features[reads]
        }
        add(
            _last_maps(architecture.layers[t], place),
            _last_maps(architecture.layers[reads - 1], reads - 1),
            Run.between(begin, run_layers, place, place + 1, last=True),
            # Readouts of the layers that went need the features before them.
            Run.between(begin, run_layers, t, reads, last=reads == t + 1),
            leaving,
        )
        dropped = range(t, behind)
        run, parent_run = _to_readouts([place]), _to_readouts(dropped)
        for name, path in _readout_maps(narrowed.network, place):
            # A readout that is not the last is one linear map.
            of = [
                inner
                for i in dropped
                for each, inner in _readout_maps(parent.network, i)
                if each == name or (name == "linear" and each == "linear_2")
            ]
            add([path], of, run, parent_run, _readout_columns(architecture, keep, name))
    return fits


def _maps(architecture: Architecture, keep: Keep, t: int) -> Iterator[tuple[str, Columns]]:
    """Yield maps of an interaction, each with the channels of its outputs that are kept."""

    def kept(name: str) -> Tensor:
        return torch.tensor(keep[name], dtype=torch.long)

    def of_basis(group: str) -> Mapping[str, Tensor]:
        return dict.fromkeys(architecture.basis, kept(group))

    layer = architecture.layers[t]
    yield "linear_up", {ir: kept(message_group(t, ir)) for ir in layer.edges}
    if layer.kind == "nonlinear":
        gates = {ir: kept_indices(axis, keep) for ir, axis in gate_inputs(architecture, t).items()}
        yield "linear_res", gates
        yield "linear_1", gates
        yield "linear_2", of_basis(f"basis.{t}")
    else:
        yield "linear", of_basis(mixed_group(layer.kind, t) or f"basis.{t}")


def _last_maps(layer: Layer, t: int) -> Maps:
    """Return the maps whose outputs add up to the features that leave a layer."""
    skips = [f"interactions.{t}.skip_tp"] if layer.kind != "selecting" else []
    return [f"products.{t}.linear", *skips]


def _to_readouts(layers: Sequence[int]) -> Run:
    """Return how a network comes to the readouts behind some layers and past them."""
    return Run(
        begin, partial(run_layers, layer=layers[0] + 1), partial(run_readouts, layers=layers)
    )


def _readout_maps(network: NativeModule, t: int) -> Iterator[tuple[str, str]]:
    """Yield the maps of the readout behind a layer, if it has one: name there, and in the network.

    So of the last of two layers: ``linear_1`` and ``readouts.1.linear_1``, then ``linear_2``.
    """
    index = t - len(network.interactions) + len(network.readouts)
    if index >= 0:
        for name in ("linear", "linear_1", "linear_mid", "linear_2"):
            if hasattr(network.readouts[index], name):
                yield name, f"readouts.{index}.{name}"


def _readout_columns(architecture: Architecture, keep: Keep, name: str) -> Columns:
    if name in ("linear", "linear_2"):
        return {}
    layer = 1 if name == "linear_mid" else 0
    return {"0e": kept_indices(readout_axis(architecture, layer), keep)}
