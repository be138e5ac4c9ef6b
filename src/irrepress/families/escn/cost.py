"""What an eSCN-MD network of any widths costs.

Parameters are exact. Operations are those of matrix products, counted as two for each pair of
numbers; norms and activations, below a few per cent, are left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from irrepress.core.cost import Cost, CostModel, CostTerms
from irrepress.core.model import Model
from irrepress.families.escn.architecture import Architecture, read_architecture
from irrepress.families.escn.gates import CHANNELS, EDGES, HIDDEN, make_groups
from irrepress.families.escn.layout import (
    FREQUENCIES,
    SYSTEM,
    component,
    make_layout,
    order,
    system_layout,
)
from irrepress.families.generic.layout import channel_counts, parameter_counter


@dataclass(frozen=True)
class _Sizes:
    """The sizes of a network of some widths."""

    channels: int
    hidden: int
    edge_channels: int
    lmax: int
    mmax: int

    @classmethod
    def of(cls, a: Architecture, widths: Mapping[str, int]) -> "_Sizes":
        lmax = max(degree for degree in range(a.lmax + 1) if widths.get(order(degree), 1))
        found = (m for m in range(1, a.mmax + 1) if widths.get(component(m), 1))
        return cls(
            widths.get(CHANNELS, a.channels),
            widths.get(HIDDEN, a.hidden),
            widths.get(EDGES, a.edge_channels),
            lmax,
            min(lmax, max(found, default=0)),
        )

    @property
    def orders(self) -> int:
        """Components of features of atoms, of all orders."""
        return (self.lmax + 1) ** 2

    @property
    def along(self) -> int:
        """Components of features along edges, of all orders."""
        return sum(2 * min(degree, self.mmax) + 1 for degree in range(self.lmax + 1))

    @property
    def pairs(self) -> list[int]:
        """Numbers of orders that have the component m, for each m."""
        return [self.lmax - m + 1 for m in range(self.mmax + 1)]


def make_cost_model(model: Model, neighbours: float) -> CostModel:
    """Return widths -> cost; see `irrepress.core.family.Family.cost_model`."""
    a = read_architecture(model.native)
    groups = make_groups(a)
    count = parameter_counter(model.network, make_layout(a) + system_layout(a))

    def cost(widths: Mapping[str, int]) -> Cost:
        s = _Sizes.of(a, widths)
        system = {SYSTEM: s.channels, FREQUENCIES: s.channels // 2}
        parameters = count({**channel_counts(groups, widths), **system})
        terms = _operations(a, s)
        per_edge = terms["radial"] + terms["rotations"] + terms["convolutions"]
        return Cost(parameters=parameters, flops=2.0 * (terms["atoms"] + neighbours * per_edge))

    return cost


def make_cost_terms(model: Model) -> CostTerms:
    """Return widths -> terms; see `irrepress.core.family.Family.cost_terms`.

    The terms are, summed over layers and without constant factors:

    - ``components``: calls of kernels for each component m;
    - ``radial``: operations of radial networks, per edge;
    - ``rotations``: operations of rotations to the frame of an edge and back, per edge;
    - ``wigner``: sizes of the Wigner matrices, per edge;
    - ``convolutions``: operations of convolutions, per edge;
    - ``messages``: sizes of features along edges, per edge;
    - ``atoms``: operations of linear maps, per atom.
    """
    a = read_architecture(model.native)

    def terms(widths: Mapping[str, int]) -> dict[str, float]:
        s = _Sizes.of(a, widths)
        sizes = s.along * (3 * s.channels + s.hidden) + s.orders * s.channels
        return {
            "components": float(a.layers * (s.mmax + 1)),
            "wigner": float(s.orders**2),
            "messages": float(a.layers * sizes),
            **_operations(a, s),
        }

    return terms


def _operations(a: Architecture, s: _Sizes) -> dict[str, float]:
    """Return multiplications per edge, and of linear maps per atom."""
    entering = a.basis + 2 * s.edge_channels
    hidden = s.edge_channels * (entering + s.edge_channels)
    # Weights of features of both ends, of each order and component.
    weights = 2 * s.channels * sum(s.pairs)
    first, second = 0, 0
    for m, count in enumerate(s.pairs):
        copies = 4 if m else 1  # a complex weight times a complex feature
        gates = s.lmax if m == 0 else 0
        first += copies * (count * 2 * s.channels) * (count + gates) * s.hidden
        second += copies * (count * s.hidden) * (count * s.channels)
    rotated = s.orders * s.along * 3 * s.channels
    atomwise = 2 * s.orders * s.channels * s.hidden + s.lmax * s.channels * s.hidden
    readout = (s.channels + s.hidden + 1) * s.hidden
    degree = (s.lmax + 1) * s.channels
    radial = a.layers * (hidden + s.edge_channels * weights) + hidden + s.edge_channels * degree
    return {
        "radial": float(radial),
        "rotations": float(a.layers * rotated + s.orders * degree),
        "convolutions": float(a.layers * (first + second)),
        "atoms": float(a.layers * atomwise + readout),
    }
