"""What an eSCN-MD network of any widths costs, and what its time is made of.

Parameters are exact. Operations are those of matrix products, counted as two for each pair of
numbers; norms and activations, below a few per cent, are left out.
"""

from irrepress.core.cost import CostModel, CostTerms
from irrepress.core.model import Model
from irrepress.families.escn.architecture import Architecture, read_architecture
from irrepress.families.escn.gates import make_groups
from irrepress.families.escn.layout import (
    FEATURES,
    FREQUENCIES,
    SYSTEM,
    component,
    make_layout,
    messages,
    order,
    system_layout,
)
from irrepress.families.generic.cost import (
    Channels,
    Totals,
    cost_model,
    counter,
    multiplications,
    parameters,
)


def make_cost_model(model: Model, neighbours: float) -> CostModel:
    """Return widths -> cost; see `irrepress.core.family.Family.cost_model`."""
    a = read_architecture(model.native)
    layout = make_layout(a)
    amounts = [
        *parameters(model.network, layout + system_layout(a)),
        *multiplications(layout, _per, 2),
    ]

    def rotations(channels: Channels) -> Totals:
        return {"per edge": 2.0 * _along_edges(a, channels)["rotations"]}

    def tied(channels: Channels) -> Channels:
        return {SYSTEM: channels[FEATURES], FREQUENCIES: channels[FEATURES] // 2}

    return cost_model(counter(make_groups(a), amounts, [rotations], tied), neighbours)


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
    amounts = multiplications(make_layout(a), _kind)
    return counter(make_groups(a), amounts, [lambda channels: _along_edges(a, channels)])


def _per(parameter: str) -> str:
    return "per atom" if _kind(parameter) == "atoms" else "per edge"


def _kind(parameter: str) -> str:
    if ".rad_func." in parameter:
        return "radial"
    return "convolutions" if ".so2_conv_" in parameter else "atoms"


def _along_edges(a: Architecture, channels: Channels) -> Totals:
    """Return the terms that follow from the sizes of features along edges."""
    lmax = sum(channels[order(degree)] for degree in range(a.lmax + 1)) - 1
    mmax = min(lmax, sum(channels[component(m)] for m in range(1, a.mmax + 1)))
    at_atoms = (lmax + 1) ** 2
    along = sum(2 * min(degree, mmax) + 1 for degree in range(lmax + 1))
    features, hidden = channels[FEATURES], channels[messages(0)]
    rotated = a.layers * along * 3 + lmax + 1  # the latter by the first embedding of edges
    return {
        "components": float(a.layers * (mmax + 1)),
        "wigner": float(at_atoms**2),
        "messages": float(a.layers * (along * (3 * features + hidden) + at_atoms * features)),
        "rotations": float(at_atoms * rotated * features),
    }
