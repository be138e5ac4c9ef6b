"""What the time of a SevenNet network of any widths is made of.

Tensor products along edges take most of the time, and more than their operations tell: e3nn's
code writes the outer product of features and filter to memory, ``[edges, channels, (2 l1 + 1)
(2 l2 + 1)]``, and forces read it once more for every path. Which of reading, writing, computing
and calling is slow differs between machines and between sizes of l1 and l2, so that each has a
term of its own.
"""

from collections import Counter
from collections.abc import Mapping

from irrepress.core.cost import CostTerms
from irrepress.core.model import Model
from irrepress.families.e3nn.paths import products
from irrepress.families.sevennet.architecture import (
    ONE_HOT,
    gate_inputs,
    order,
    read_architecture,
)
from irrepress.families.sevennet.gates import filter_group, width_key


def make_cost_terms(model: Model) -> CostTerms:
    """Return widths -> terms; see `irrepress.core.family.Family.cost_terms`.

    The terms are, summed over layers and without constant factors:

    - ``paths``: paths of the tensor products, each some calls of kernels;
    - ``radial``: operations of the radial networks' last layers, per edge;
    - ``scalar products``: sizes of products with a scalar as factor or result, per edge;
    - ``products 1x2``: sizes of outer products of orders 1 and 2, either way round, per edge;
    - ``contractions``: operations that turn outer products into messages, per edge;
    - ``messages``: sizes of messages, per edge;
    - ``linear``: operations of linear maps, per atom.
    """
    architecture = read_architecture(model.network)
    modules = model.network._modules
    hidden, species = [], []
    for t in range(architecture.layers):
        hidden.append(modules[f"{t}_convolution"].weight_nn.hs[-2])
        by_element = hasattr(modules[f"{t}_self_connection_intro"], "fc_tensor_product")
        species.append(modules[ONE_HOT].num_classes if by_element else 1)
    names = ["paths", "radial", "scalar products", "contractions", "messages", "linear"]
    sources = {order(irrep) for features in architecture.features[:-1] for irrep in features}
    names += [
        _pair(order(filter_), source)
        for filter_ in architecture.filter
        for source in sources
        if source and order(filter_)
    ]

    def terms(widths: Mapping[str, int]) -> dict[str, float]:
        kept = [
            {
                irrep: count
                for irrep, channels in features.items()
                if (count := widths.get(width_key(t, irrep), channels))
            }
            for t, features in enumerate(architecture.features)
        ]
        filters = [f for f in architecture.filter if widths.get(filter_group(f), 1)]
        total = dict.fromkeys(names, 0.0)
        for t in range(architecture.layers):
            last = t == architecture.layers - 1
            messages, weights = _add_products(total, kept[t], kept[t + 1], filters, last)
            total["radial"] += hidden[t] * weights
            total["linear"] += _linear(kept[t], kept[t + 1], messages, species[t])
        return total

    return terms


def _pair(first: int, second: int) -> str:
    return f"products {min(first, second)}x{max(first, second)}"


def _add_products(
    total: dict[str, float],
    entering: Mapping[str, int],
    leaving: Mapping[str, int],
    filters: list[str],
    last: bool,
) -> tuple[Counter[str], int]:
    """Add the terms of a layer's tensor product; return its messages and its radial weights."""
    # sevenn computes messages of all orders up to the highest that leaves the layer, and in the
    # last layer those of even parity only.
    limit = max(map(order, leaving))
    messages: Counter[str] = Counter()
    weights = 0
    for source, channels in entering.items():
        for filter_ in filters:
            l1, l2 = order(source), order(filter_)
            size = channels * (2 * l1 + 1) * (2 * l2 + 1)
            for target in products(source, filter_):
                l3 = order(target)
                if l3 > limit or (last and target.endswith("o")):
                    continue
                messages[target] += channels
                weights += channels
                total["paths"] += 1
                total["messages"] += channels * (2 * l3 + 1)
                if l1 and l2 and l3:
                    total[_pair(l1, l2)] += size
                    total["contractions"] += size * (2 * l3 + 1)
                else:
                    total["scalar products"] += size
    return messages, weights


def _linear(
    entering: Mapping[str, int],
    leaving: Mapping[str, int],
    messages: Mapping[str, int],
    species: int,
) -> float:
    """Operations of a layer's linear maps per atom."""
    operations = 0.0
    for irrep, outputs in gate_inputs(leaving).items():
        inputs = species * entering.get(irrep, 0) + messages.get(irrep, 0)
        operations += inputs * outputs * (2 * order(irrep) + 1)
    for irrep, channels in entering.items():
        operations += channels * channels * (2 * order(irrep) + 1)
    return operations
