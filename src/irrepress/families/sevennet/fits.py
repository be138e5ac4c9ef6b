"""The linear maps of a SevenNet network that compensation fits anew, in the network's order.

Of each layer: ``self_interaction_1``, which makes the features that are sent, and then what
enters the gate, ``self_interaction_2`` of the messages plus ``self_connection_intro`` of the
features. Both are fitted together; a self-connection that depends on the element stays, and
the messages make up for it. Last, the linear readout, as one map to the atomic energy.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from irrepress.core.fits import LinearFit
from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.families.e3nn.fits import LinearMapsFit, read_dense, write_dense
from irrepress.families.generic.fits import Record, Run, State, StepFit
from irrepress.families.generic.layout import kept_indices
from irrepress.families.sevennet.architecture import ENERGY, HIDDEN, RESCALE, read_architecture
from irrepress.families.sevennet.gates import message_group
from irrepress.families.sevennet.graph import begin, run_until
from irrepress.families.sevennet.layout import gate_inputs


def linear_fits(parent: Model, narrowed: Model, plan: Plan) -> list[LinearFit]:
    """Return the fits; see `irrepress.core.family.Family.linear_fits`."""
    architecture = read_architecture(parent.network)
    modules = parent.network._modules
    fits: list[LinearFit] = []

    def add(names: list[str], run: Run, columns: Mapping[str, Tensor]) -> None:
        inner = [
            f"{name}.{'linear' if hasattr(modules[name], 'linear') else 'fc_tensor_product'}"
            for name in names
        ]
        fits.append(LinearMapsFit(names[0], parent, narrowed, run, inner, columns))

    for t in range(architecture.layers):
        start = next(name for name in modules if name.startswith(f"{t}_"))
        sent = {
            ir: torch.tensor(plan.keep[message_group(t, ir)], dtype=torch.long)
            for ir in architecture.features[t]
        }
        add([f"{t}_self_interaction_1"], _run(start, f"{t}_convolution"), sent)
        entering = gate_inputs(architecture, t + 1)
        columns = {ir: kept_indices(axis, plan.keep) for ir, axis in entering.items()}
        names = [f"{t}_self_interaction_2", f"{t}_self_connection_intro"]
        add(names, _run(start, f"{t}_equivariant_gate", last=True), columns)
    if not architecture.mlp_readout:
        fits.append(_ReadoutFit(HIDDEN, parent, narrowed, _run(HIDDEN, RESCALE)))
    return fits


def _run(start: str, stop: str, *, last: bool = False) -> Run:
    """Return how networks come to one module and on to another."""
    return Run(
        begin,
        lambda model, state: run_until(model, state, start),
        lambda model, state: run_until(model, state, stop),
        last,
    )


class _ReadoutFit(StepFit):
    """The two linear maps of the readout as one, from the features to the atomic energy."""

    def seen(self, model: Model) -> list[torch.nn.Module]:
        """See the base class."""
        return [model.network._modules[name].linear for name in (HIDDEN, ENERGY)]

    def weights(self) -> dict[str, Tensor]:
        """See the base class."""
        first, second = self._maps()
        return {"0e": first @ second}

    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Make the smallest change of the first map that gives the product."""
        if "0e" in weights:
            first, second = self._maps()
            change = weights["0e"].to(second) - first @ second
            hidden, _ = self.seen(self._narrowed)
            write_dense(hidden, {"0e": first + change @ second.T / second.square().sum()})

    def rows_of(
        self, parent: Record, narrowed: Record, state: State
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """See the base class."""
        hidden, _ = self.seen(self._narrowed)
        _, energy = self.seen(self._parent)
        inputs, outputs = narrowed[hidden].entering, parent[energy].leaving
        return {"0e": inputs[:, :, None]}, {"0e": outputs[:, :, None]}

    def _maps(self) -> tuple[Tensor, Tensor]:
        first, second = (read_dense(module)["0e"] for module in self.seen(self._narrowed))
        return first, second
