"""What follows from a layout: narrowing, counting, norms, matrices and roles."""

import pytest
import torch

from irrepress.core.family import WeightBlock
from irrepress.core.groups import Group
from irrepress.core.model import Model
from irrepress.families.generic.layout import (
    Part,
    Weights,
    block_norms,
    copy_kept,
    copy_rest,
    free,
    kept_indices,
    parameter_roles,
    weight_blocks,
)

GROUPS = [
    Group("order.0e", 0, "0e", 1, "order.0e", axis="order", floor=1),
    Group("order.1e", 0, "1e", 1, "order.1e", axis="order"),
    Group("order.2e", 0, "2e", 1, "order.2e", axis="order"),
    Group("features", 0, "0e", 3, "width"),
    Group("hidden", 0, "0e", 2, "hidden"),
]
FEATURES = Part(3, "features")
HIGH = Part(3, "features", "high", inside=(("order.2e", 0),), needs=("hidden",))


def make_network(inputs: int = 6, hidden: int = 2) -> torch.nn.Module:
    """Two linear maps and a scale."""
    return torch.nn.ModuleDict(
        {
            "first": torch.nn.Linear(inputs, hidden, bias=False),
            "second": torch.nn.Linear(hidden, 1, bias=False),
            "scale": torch.nn.LayerNorm(4, bias=False),
        }
    ).double()


def make_layout(features: int = 3, hidden: int = 2, high: bool = True) -> list[Weights]:
    inner = (Part(hidden, "hidden"),)
    row = (FEATURES._replace(size=features), HIGH._replace(size=features))
    return [
        Weights("second.weight", (free(1), inner), reads=1, scale=hidden**-0.5),
        Weights("first.weight", (inner, row if high else row[:1]), reads=1),
    ]


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"features": [0, 2]}, [0, 2, 3, 5]),
        ({"features": [0, 2], "order.2e": []}, [0, 2]),
        ({"hidden": []}, [0, 1, 2]),
        ({"features": []}, []),
    ],
)
def test_parts_go_with_their_channels_their_orders_and_what_they_need(keep, expected):
    assert kept_indices((FEATURES, HIGH), keep).tolist() == expected


def test_narrowed_weights_carry_the_ratio_of_the_scales():
    wide, narrow = make_network(), make_network(inputs=2, hidden=1)
    keep = {"features": [0, 2], "hidden": [1], "order.2e": []}
    layouts = make_layout(), make_layout(2, 1, high=False)
    copy_kept(wide, layouts[0], narrow, layouts[1], keep)
    first, second = wide["first"].weight, wide["second"].weight
    assert torch.equal(narrow["first"].weight, first[[1]][:, [0, 2]])
    assert torch.allclose(narrow["second"].weight, second[:, [1]] / 2**0.5)


def test_a_narrow_network_of_another_shape_is_refused():
    keep = {"features": [0, 2], "hidden": [1]}
    with pytest.raises(ValueError, match=r"\(1, 4\) of first.weight stay, but .* shape \(1, 2\)"):
        copy_kept(
            make_network(),
            make_layout(),
            make_network(inputs=2, hidden=1),
            make_layout(2, 1, high=False),
            keep,
        )


def test_copying_the_rest_refuses_what_was_forgotten():
    wide, small = make_network(), make_network(inputs=2)
    torch.nn.init.normal_(wide["scale"].weight)
    with pytest.raises(ValueError, match=r"first\.weight: \(2, 6\) -> \(2, 2\)"):
        copy_rest(wide, small, [])
    before = small["first"].weight.detach().clone()
    copy_rest(wide, small, make_layout())
    assert torch.equal(small["scale"].weight, wide["scale"].weight)
    assert torch.equal(small["first"].weight, before)


def model_of(network: torch.nn.Module) -> Model:
    return Model(network, family="none", native={}, cutoff=1.0, elements=[1])


def test_norms_collect_what_reads_a_block():
    network = make_network()
    found = block_norms(model_of(network), make_layout(), GROUPS)
    squares = network["first"].weight.double().square()
    assert torch.allclose(found["features"].square(), squares.sum(0).view(2, 3).sum(0))
    assert torch.allclose(found["order.2e"].square(), squares[:, 3:].sum()[None])
    assert torch.allclose(found["hidden"], network["second"].weight[0].abs() / 2**0.5)
    assert float(found["order.0e"]) == 0


def test_norms_are_products_where_weights_multiply_what_others_read():
    """Radial weights of a message, in the mean, times the rows of the map behind."""
    network = make_network()
    first, second = make_layout()[1], Weights("second.weight", (free(1), free(2)))
    path = Part(2, "hidden", "path", inside=(("order.1e", 0),))
    layout = [
        Weights("first.weight", ((path,), *first.axes[1:]), multiplies=0, averaged=(1,)),
        Weights("second.weight", (second.axes[0], (path,)), reads=1),
    ]
    found = block_norms(model_of(network), layout, GROUPS)
    mean = network["first"].weight.square().mean(1)
    assert torch.allclose(found["hidden"].square(), mean * network["second"].weight[0].square())
    assert torch.allclose(found["order.1e"].square(), found["hidden"].square().sum()[None])


def test_matrices_come_in_the_networks_order_with_their_outputs_as_columns():
    network = make_network()
    layout = [
        *make_layout(),
        Weights("scale.weight", (free(4),)),
        Weights("second.weight", (free(1), free(2)), quantized=False),
    ]
    assert weight_blocks(network, layout) == [
        WeightBlock("first.weight", 0, (6, 2), transposed=True),
        WeightBlock("second.weight", 0, (2, 1), transposed=True),
    ]
    products = [Weights("first.weight", (free(2), free(2), free(3)), start=0)]
    assert weight_blocks(network, products) == [WeightBlock("first.weight", 0, (4, 3))]


def test_the_first_text_that_fits_a_name_gives_the_role():
    network = make_network()
    network["scale"].requires_grad_(False)
    roles = [("second.", "readout"), ("s", "radial")]
    assert parameter_roles(model_of(network), roles) == {
        "network.first.weight": "radial",
        "network.second.weight": "readout",
    }
