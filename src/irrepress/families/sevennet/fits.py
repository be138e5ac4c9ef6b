"""The linear maps of a SevenNet network that compensation fits anew, in the network's order.

Of each layer: ``self_interaction_1``, which makes the features that are sent, and then what
enters the gate, ``self_interaction_2`` of the messages plus ``self_connection_intro`` of the
features. Both are fitted together; a self-connection that depends on the element stays, and
the messages make up for it. Last, the linear readout, as one map to the atomic energy.

Where a plan drops layers, what enters the gate is fitted to what enters the gate of the last of
the layers that went: the features that the next layer was trained to read.
"""

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor

from irrepress.core.fits import LinearFit
from irrepress.core.model import Model, NativeModule
from irrepress.core.plan import Plan
from irrepress.families.e3nn.fits import LinearMapsFit, read_dense, write_dense
from irrepress.families.e3nn.groups import message_group
from irrepress.families.generic.depth import kept_in_parent
from irrepress.families.generic.fits import Record, Run, State, StepFit
from irrepress.families.generic.layout import kept_indices
from irrepress.families.sevennet.architecture import ENERGY, HIDDEN, RESCALE, read_architecture
from irrepress.families.sevennet.graph import begin, run_until
from irrepress.families.sevennet.layout import gate_inputs


def linear_fits(parent: Model, narrowed: Model, plan: Plan) -> list[LinearFit]:
    """Return the fits; see `irrepress.core.family.Family.linear_fits`."""
    architecture = read_architecture(parent.network)
    layers = plan.layers or tuple(range(architecture.layers))
    keep = kept_in_parent(parent, plan)
    fits: list[LinearFit] = []

    def add(maps: list[str], t: int, of: int, stop: str, columns: dict[str, Tensor]) -> None:
        """Add a fit of maps of layer ``t`` to those of layer ``of`` of the parent."""
        last = stop == "equivariant_gate"
        names, runs = [], []
        for model, layer in ((narrowed, t), (parent, of)):
            modules = model.network._modules
            names.append([_inner(modules, f"{layer}_{each}") for each in maps])
            start = next(name for name in modules if name.startswith(f"{layer}_"))
            runs.append(Run.between(begin, run_until, start, f"{layer}_{stop}", last=last))
        name = f"{t}_{maps[0]}"
        fits.append(
            LinearMapsFit(name, parent, narrowed, runs[0], names[0], columns, runs[1], names[1])
        )

    for t, (of, reads) in enumerate(pairwise(architecture.read_by(layers))):
        sent = {
            ir: torch.tensor(keep[message_group(of, ir)], dtype=torch.long)
            for ir in architecture.features[of]
        }
        add(["self_interaction_1"], t, of, "convolution", sent)
        entering = gate_inputs(architecture, reads)
        columns = {ir: kept_indices(axis, keep) for ir, axis in entering.items()}
        maps = ["self_interaction_2", "self_connection_intro"]
        add(maps, t, reads - 1, "equivariant_gate", columns)
    if not architecture.mlp_readout:
        run = Run.between(begin, run_until, HIDDEN, RESCALE)
        fits.append(_ReadoutFit(HIDDEN, parent, narrowed, run))
    return fits


def _inner(modules: Mapping[str, NativeModule], name: str) -> str:
    """Return the name of the map of e3nn inside a module."""
    return f"{name}.{'linear' if hasattr(modules[name], 'linear') else 'fc_tensor_product'}"


def readout_maps(network: NativeModule) -> tuple[Tensor, Tensor]:
    """Return the two linear maps of the readout, ``[inputs, hidden]`` and ``[hidden, 1]``."""
    first, second = (read_dense(network._modules[name].linear)["0e"] for name in (HIDDEN, ENERGY))
    return first, second


def set_readout(network: NativeModule, product: Tensor) -> None:
    """Make the smallest change of the first map, in place, with which both give a product.

    Args:
        network: the network; if its second map is zero, nothing is changed.
        product: of both maps, ``[inputs, 1]``.
    """
    first, second = readout_maps(network)
    if norm := second.square().sum():
        missing = product.to(second) - first @ second
        write_dense(network._modules[HIDDEN].linear, {"0e": first + missing @ second.T / norm})


class _ReadoutFit(StepFit):
    """The two linear maps of the readout as one, from the features to the atomic energy."""

    def seen(self, model: Model) -> list[torch.nn.Module]:
        """See the base class."""
        return [model.network._modules[name].linear for name in (HIDDEN, ENERGY)]

    def weights(self) -> dict[str, Tensor]:
        """See the base class."""
        first, second = readout_maps(self._narrowed.network)
        return {"0e": first @ second}

    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        """See the base class."""
        if "0e" in weights:
            set_readout(self._narrowed.network, weights["0e"])

    def rows_of(
        self, parent: Record, narrowed: Record, state: State
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """See the base class."""
        hidden, _ = self.seen(self._narrowed)
        _, energy = self.seen(self._parent)
        inputs, outputs = narrowed[hidden].entering, parent[energy].leaving
        return {"0e": inputs[:, :, None]}, {"0e": outputs[:, :, None]}
