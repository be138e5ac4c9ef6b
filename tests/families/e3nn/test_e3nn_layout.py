"""Layouts of single e3nn modules: the kept channels compute what they computed."""

import pytest
import torch

pytest.importorskip("e3nn", reason="no family with e3nn is installed in this environment")
from e3nn.nn import FullyConnectedNet
from e3nn.o3 import FullyConnectedTensorProduct, Irreps, Linear

from irrepress.families.e3nn.layout import fully_connected, linear
from irrepress.families.generic.layout import Part, copy_kept, free, kept_indices


def axes(irreps: str, groups: dict[str, str]) -> dict[str, tuple[Part, ...]]:
    """The first term of each irrep as the channels of a group."""
    terms = {str(irrep): channels for channels, irrep in reversed(Irreps(irreps))}
    return {irrep: (Part(terms[irrep], group),) for irrep, group in groups.items()}


def components(irreps: str, groups: dict[str, str], keep: dict[str, list[int]]) -> torch.Tensor:
    """Indices of the components of the kept channels; later terms of an irrep stay whole."""
    found, left = [], dict(groups)
    for (channels, irrep), part in zip(Irreps(irreps), Irreps(irreps).slices(), strict=True):
        kept = kept_indices((Part(channels, left.pop(str(irrep), None)),), keep)
        index = torch.arange(part.start, part.stop).reshape(channels, irrep.dim)
        found.append(index[kept].flatten())
    return torch.cat(found)


def spread(small: torch.Tensor, index: torch.Tensor, size: int) -> torch.Tensor:
    """Put components back into their places among zeros."""
    return torch.zeros(*small.shape[:-1], size, dtype=small.dtype).index_copy(-1, index, small)


def copy(wide: torch.nn.Module, narrow: torch.nn.Module, keep, layout_of) -> None:
    """Copy what is kept from one module into another."""
    networks = [torch.nn.ModuleDict({"map": module}) for module in (wide, narrow)]
    layouts = [list(layout_of("map", module)) for module in (wide, narrow)]
    copy_kept(networks[0], layouts[0], networks[1], layouts[1], keep)


def test_linear_with_a_vanished_irrep_and_a_second_term():
    rows, columns = {"0e": "a", "1o": "b"}, {"0e": "c", "2e": "d"}
    keep = {"a": [1, 3, 4], "b": [], "c": [0, 2], "d": [1]}
    inputs, outputs = "5x0e+2x1o+3x2e+2x0e", "4x0e+3x2e+2x1o"
    wide, narrow = Linear(inputs, outputs), Linear("3x0e+3x2e+2x0e", "2x0e+1x2e+2x1o")

    def layout(name, module):
        shape = str(module.irreps_in), str(module.irreps_out)
        small = {"0e": "a"} if module is narrow else rows
        return linear(name, module, axes(shape[0], small), axes(shape[1], columns))

    wide, narrow = wide.double(), narrow.double()
    copy(wide, narrow, keep, layout)
    x = torch.randn(7, narrow.irreps_in.dim, dtype=torch.float64)
    whole = wide(spread(x, components(inputs, rows, keep), wide.irreps_in.dim))
    expected = whole[:, components(outputs, columns, keep)]
    assert torch.allclose(narrow(x), expected, atol=1e-12)
    assert float(expected.abs().max()) > 0.1


def test_biases_go_with_their_outputs():
    keep = {"out": [2, 0]}
    wide, narrow = (Linear("3x0e", f"{n}x0e", biases=True).double() for n in (4, 2))
    torch.nn.init.normal_(wide.bias)
    outputs = {"0e": "out"}
    copy(wide, narrow, keep, lambda n, m: linear(n, m, {}, axes(str(m.irreps_out), outputs)))
    x = torch.randn(7, 3, dtype=torch.float64)
    assert torch.allclose(narrow(x), wide(x)[:, [2, 0]], atol=1e-12)


def test_tensor_product_with_fewer_operands():
    rows, columns = {"0e": "a", "1o": "b"}, {"0e": "c", "1o": "d"}
    keep = {"a": [0, 2], "b": [1], "c": [1], "d": [0, 2], "operand": [3, 1]}
    wide = FullyConnectedTensorProduct("3x0e+2x1o", "4x0e", "2x0e+3x1o").double()
    narrow = FullyConnectedTensorProduct("2x0e+1x1o", "2x0e", "1x0e+2x1o").double()

    def layout(name, module):
        shape = str(module.irreps_in1), str(module.irreps_out)
        operand = (Part(module.irreps_in2.dim, "operand"),)
        return linear(name, module, axes(shape[0], rows), axes(shape[1], columns), operand)

    copy(wide, narrow, keep, layout)
    x, y = (torch.randn(7, size, dtype=torch.float64) for size in (5, 2))
    whole = wide(
        spread(x, components("3x0e+2x1o", rows, keep), wide.irreps_in1.dim),
        spread(y, components("4x0e", {"0e": "operand"}, keep), 4),
    )
    expected = whole[:, components("2x0e+3x1o", columns, keep)]
    assert torch.allclose(narrow(x, y), expected, atol=1e-12)
    assert float(expected.abs().max()) > 0.1


def test_fully_connected_network_at_both_ends_and_inside():
    keep = {"in": [0, 3], "hidden": [1, 2, 6], "out": [5, 1, 2]}
    wide = FullyConnectedNet([4, 8, 6]).double()
    narrow = FullyConnectedNet([2, 3, 3]).double()
    with torch.no_grad():
        wide.layer1.weight[[0, 3, 4, 5, 7]] = 0

    def layout(name, module):
        inputs, hidden, outputs = (
            (Part(size, group),) for size, group in zip(module.hs, keep, strict=True)
        )
        return fully_connected(name, module, inputs, outputs, [hidden])

    copy(wide, narrow, keep, layout)
    x = torch.randn(7, 2, dtype=torch.float64)
    expected = wide(spread(x, torch.tensor(keep["in"]), 4))[:, keep["out"]]
    assert torch.allclose(narrow(x), expected, atol=1e-12)


def test_inner_layers_stay_whole_unless_they_are_described():
    network = FullyConnectedNet([4, 8, 6], torch.nn.functional.silu)
    layout = fully_connected("net", network, free(4), free(6))
    assert [weights.shape for weights in layout] == [(4, 8), (8, 6)]
    assert [weights.scale for weights in layout] == [4**-0.5, 8**-0.5]
