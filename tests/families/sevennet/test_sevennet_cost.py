"""The analytic cost against the code that e3nn generates."""

from itertools import pairwise
from math import prod

import pytest
import torch
from torch.fx.passes.shape_prop import ShapeProp

from irrepress.core.plan import Plan

EDGES = 16


def operations(module: torch.fx.GraphModule, *inputs: torch.Tensor) -> int:
    """Count the operations of a generated tensor product, einsum by einsum."""
    ShapeProp(module).propagate(*inputs)
    total = 0
    for node in module.graph.nodes:
        name = getattr(node.target, "__name__", str(node.target))
        if name == "einsum":
            equation, *operands = node.args
            terms, result = equation.replace(" ", "").split("->")
            sizes = {}
            for letters, operand in zip(terms.split(","), operands, strict=True):
                sizes.update(zip(letters, operand.meta["tensor_meta"].shape, strict=True))
            summed = prod(size for letter, size in sizes.items() if letter not in result)
            total += prod(sizes.values()) * (2 if summed > 1 else 1)
        elif name == "tensordot":
            first, second = (arg.meta["tensor_meta"].shape for arg in node.args[:2])
            dims = node.kwargs["dims"] if "dims" in node.kwargs else node.args[2]
            total += 2 * prod(first) * prod(second) // prod(first[axis] for axis in dims[0])
    return total


@pytest.mark.parametrize(
    ("checkpoint", "order"), [("7net-0", None), ("7net-l3i5", None), ("small", 1), ("small", 0)]
)
def test_flops_are_those_of_generated_code(sevennet, small_sevennet, checkpoint, order):
    model = small_sevennet if checkpoint == "small" else sevennet.load(checkpoint)
    if order is not None:
        groups = model.groups()
        model = model.narrow(Plan.identity(groups).cut_order(groups, order))
    counted = 0
    for name, module in model.network.named_children():
        if not name.endswith("_convolution"):
            continue
        product, hs = module.convolution, module.weight_nn.hs
        inputs = [
            torch.zeros(EDGES, size)
            for size in (product.irreps_in1.dim, product.irreps_in2.dim, product.weight_numel)
        ]
        counted += operations(product._compiled_main_left_right, *inputs) / EDGES
        counted += sum(2 * a * b for a, b in pairwise(hs)) + 4 * sum(hs[1:-1])
        counted += product.irreps_out.dim  # the sum over neighbours
    costs = [model.cost_model(neighbours=n)({}).flops for n in (0, 1)]
    assert costs[1] - costs[0] == pytest.approx(counted, rel=1e-3)


def test_flops_per_atom_are_mostly_linear_maps(small_sevennet):
    linear = 0
    for module in small_sevennet.network.modules():
        if hasattr(module, "weight_views") and hasattr(module, "irreps_in"):
            for _, path, weight in module.weight_views(yield_instruction=True):
                linear += 2 * weight.numel() * module.irreps_in[path.i_in].ir.dim
    total = small_sevennet.cost_model(neighbours=0)({}).flops
    assert linear < total < 1.2 * linear


def test_cost_falls_with_every_width(small_sevennet):
    cost = small_sevennet.cost_model()
    whole = cost({})
    assert whole.parameters == small_sevennet.parameter_count()
    groups = small_sevennet.groups()
    highest = max(g.l for g in groups if g.axis == "order")
    for group in groups:
        # Orders of the filter go from the top only.
        if group.channels > group.floor and (group.axis == "channel" or group.l == highest):
            fewer = cost({group.width: group.channels - 1})
            assert fewer.flops < whole.flops
            assert fewer.parameters < whole.parameters
