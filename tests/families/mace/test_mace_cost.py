"""The analytic cost against the code that e3nn and mace generate."""

from itertools import pairwise
from math import prod

import pytest
import torch
from torch.fx.passes.shape_prop import ShapeProp

# Not "mace" alone: that is the name of this folder, too.
pytest.importorskip("mace.modules", reason="MACE is not installed in this environment")

from irrepress.core.plan import Plan
from irrepress.families.e3nn.cost import convolution_operations
from irrepress.families.generic.cost import channel_counts
from irrepress.families.mace.architecture import read_architecture
from irrepress.families.mace.contraction import contractions, weights_of
from irrepress.families.mace.cost import product_operations
from irrepress.families.mace.layout import messages, products

ROWS = 16


def operations(module: torch.fx.GraphModule, *inputs: torch.Tensor) -> int:
    """Count the operations of generated code, einsum by einsum."""
    ShapeProp(module).propagate(*inputs)
    total = 0
    for node in module.graph.nodes:
        name = getattr(node.target, "__name__", str(node.target))
        if name not in ("einsum", "tensordot"):
            continue
        shapes = [arg.meta["tensor_meta"].shape for arg in node.args if hasattr(arg, "meta")]
        if name == "einsum":
            terms, result = node.args[0].replace(" ", "").split("->")
            sizes = {}
            for letters, shape in zip(terms.split(","), shapes, strict=True):
                sizes.update(zip(letters, shape, strict=True))
            summed = prod(size for letter, size in sizes.items() if letter not in result)
            total += prod(sizes.values()) * (2 if summed > 1 else 1)
        else:
            first, second = shapes
            dims = node.kwargs["dims"] if "dims" in node.kwargs else node.args[2]
            total += 2 * prod(first) * prod(second) // prod(first[axis] for axis in dims[0])
    return total


@pytest.mark.parametrize("order", [None, 1])
def test_products_cost_what_generated_code_costs(gst, order):
    model = gst
    if order is not None:
        groups = gst.groups()
        model = gst.narrow(gst.native_plan(Plan.identity(groups).cut_order(groups, 1))[0])
    # What is done once, whatever the number of atoms, does not count.
    counted = (count_products(model, 2 * ROWS) - count_products(model, ROWS)) / ROWS
    architecture, whole = read_architecture(model.network), channel_counts(model.groups(), {})
    expected = sum(
        product_operations(architecture, layout)(whole)["per atom"]
        for t in range(len(architecture.layers))
        for layout in products(model.network, t)
    )
    assert expected == pytest.approx(counted, rel=1e-6)
    assert model.cost_model(neighbours=0)({}).flops > expected


def count_products(model, rows: int) -> int:
    """Count the operations of all products of the atomic basis of so many atoms."""
    counted = 0
    for t, interaction in enumerate(model.network.interactions):
        irreps = interaction.reshape.irreps
        features = torch.zeros(rows, irreps[0].mul, sum(irrep.dim for _, irrep in irreps))
        elements = torch.zeros(rows, len(model.elements))
        for contraction in contractions(model.network, t).values():
            coupling = [
                contraction.U_tensors(nu + 1).float() for nu in range(len(weights_of(contraction)))
            ]
            *lower, highest = (weight.detach().float() for weight in weights_of(contraction))
            main = (coupling[-1], highest, features, elements)
            counted += operations(contraction.graph_opt_main, *main)
            out = contraction.graph_opt_main(*main)
            for position, index in enumerate(reversed(range(len(lower)))):
                weighting = contraction.contractions_weighting[position]
                inputs = (coupling[index], lower[index], elements)
                counted += operations(weighting, *inputs)
                summed = weighting(*inputs) + out
                counted += summed.numel()
                contract = contraction.contractions_features[position]
                counted += operations(contract, summed, features)
                out = contract(summed, features)
    return counted


def test_convolutions_cost_what_generated_code_costs(gst):
    for interaction, expected in zip(gst.network.interactions, convolutions(gst), strict=True):
        product = interaction.conv_tp
        sizes = (product.irreps_in1.dim, product.irreps_in2.dim, product.weight_numel)
        from e3nn import get_optimization_defaults, o3, set_optimization_defaults

        before = get_optimization_defaults()["jit_script_fx"]
        set_optimization_defaults(jit_script_fx=False)  # keeps the graph, which can be counted
        try:
            open_product = o3.TensorProduct(
                product.irreps_in1,
                product.irreps_in2,
                product.irreps_out,
                [(*path[:3], "uvu", True) for path in product.instructions],
                shared_weights=False,
                internal_weights=False,
            )
        finally:
            set_optimization_defaults(jit_script_fx=before)
        inputs = [torch.zeros(ROWS, size) for size in sizes]
        counted = operations(open_product._compiled_main_left_right, *inputs) / ROWS
        counted += product.irreps_out.dim  # the sum over neighbours
        assert expected == pytest.approx(counted, rel=1e-3)


def convolutions(model) -> list[float]:
    """Return the operations of every layer's convolution, per edge."""
    whole = channel_counts(model.groups(), {})
    layers = range(len(model.network.interactions))
    return [convolution_operations(messages(model.network, t))(whole)["per edge"] for t in layers]


def test_edges_cost_convolutions_and_radial_networks(gst):
    costs = [gst.cost_model(neighbours=n)({}).flops for n in (0, 1)]
    expected = sum(convolutions(gst))
    for interaction in gst.network.interactions:
        hs = interaction.conv_tp_weights.hs
        expected += sum(2 * a * b for a, b in pairwise(hs)) + 4 * sum(hs[1:-1])
    assert costs[1] - costs[0] == pytest.approx(expected, rel=1e-9)


def test_cost_falls_with_every_width(gst):
    cost, groups = gst.cost_model(), gst.groups()
    whole = cost({})
    assert whole.parameters == gst.parameter_count()
    highest = max(g.l for g in groups if g.axis == "order")
    for group in groups:
        # Orders of the filter go from the top only.
        if group.channels > group.floor and (group.axis != "order" or group.l == highest):
            fewer = cost({group.width: group.channels - 1})
            assert fewer.flops < whole.flops
            assert fewer.parameters < whole.parameters
