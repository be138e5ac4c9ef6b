"""What the time of a MACE network of any widths is made of."""

from collections.abc import Mapping

from irrepress.core.cost import CostTerms
from irrepress.core.model import Model
from irrepress.families.mace.architecture import dim, order
from irrepress.families.mace.sizes import LayerSizes, SizeModel


def make_cost_terms(model: Model) -> CostTerms:
    """Return widths -> terms; see `irrepress.core.family.Family.cost_terms`.

    The terms are, summed over layers and without constant factors:

    - ``paths``: paths of the tensor products, each some calls of kernels;
    - ``radial``: operations of the radial networks' last layers, per edge;
    - ``scalar products``: sizes of products with a scalar as factor or result, per edge;
    - ``products``: sizes of all other outer products, per edge;
    - ``contractions``: operations that turn outer products into messages, per edge;
    - ``messages``: sizes of messages, per edge;
    - ``linear``: operations of linear maps, per atom;
    - ``couplings``: operations of products of the atomic basis with itself, per atom.
    """
    sizes_of = SizeModel(model.network)

    def terms(widths: Mapping[str, int]) -> dict[str, float]:
        sizes = sizes_of(widths)
        total = dict.fromkeys(_NAMES, 0.0)
        last = sizes.radial[-1] if sizes.radial else 1
        for layer in sizes.layers:
            _add_convolution(total, layer)
            total["radial"] += last * layer.weights
            total["linear"] += _linear(layer, sizes.hidden)
            total["couplings"] += _couplings(layer, sizes.hidden)
        return total

    return terms


_NAMES = (
    "paths",
    "radial",
    "scalar products",
    "products",
    "contractions",
    "messages",
    "linear",
    "couplings",
)


def _add_convolution(total: dict[str, float], layer: LayerSizes) -> None:
    for source, f, target in layer.paths:
        size = layer.edges[source] * dim(source) * dim(f)
        total["paths"] += 1
        total["messages"] += layer.edges[source] * dim(target)
        if order(source) and order(f) and order(target):
            total["products"] += size
            total["contractions"] += size * dim(target)
        else:
            total["scalar products"] += size


def _linear(layer: LayerSizes, hidden: int) -> float:
    operations = 0.0
    for irrep, rows in layer.rows.items():
        operations += rows * hidden * dim(irrep)
    for irrep, channels in layer.entering.items():
        sent, left = layer.edges.get(irrep, 0), layer.leaving.get(irrep, 0)
        operations += channels * (sent + left) * dim(irrep)
    for irrep, channels in layer.leaving.items():
        operations += channels * hidden * dim(irrep)
    return operations


def _couplings(layer: LayerSizes, hidden: int) -> float:
    size = sum(map(dim, layer.basis))
    return hidden * sum(
        count * dim(irrep) * size ** (index + 1)
        for irrep, paths in layer.orders.items()
        for index, count in enumerate(paths)
    )
