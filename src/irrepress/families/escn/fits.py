"""The linear maps of an eSCN-MD network that compensation fits anew, in the network's order.

Of each layer: both convolutions along edges, the gates and both linear maps of the feed-forward
network; last, the three linear maps of the readout. Radial networks stay as they are.

A convolution is one linear map for each component m of features in the frame of the edge. For
m > 0 it is a complex one: with the parts u and v of its weight, the features x at +m and y at -m
become ``u x - v y`` and ``v x + u y``. That is one real map from the channels (x, y) and (-y, x)
side by side. Rows are edges, and count by the envelope that their messages are multiplied with.
Biases are weights of one more input, which is 1.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from irrepress.families.base import Batch, LinearFit, Model, Progress, Rows
from irrepress.families.escn import forward
from irrepress.families.escn.architecture import read_architecture
from irrepress.families.escn.forward import State
from irrepress.families.escn.layout import Choice, Layout, make_layout
from irrepress.pruning.plan import Plan


@dataclass(frozen=True)
class _Map:
    """One linear map of a fit.

    Attributes:
        key: what the fit calls it: the order of what it maps, or the component along edges.
        parameter: name of its weight; that of its bias follows.
        module: name of the module that sees its inputs and outputs.
        degree: which matrix of the weight; None: the weight is one matrix.
        read: takes inputs and outputs as ``[rows, channels, components]`` from the module's.
        has_bias: whether there is a bias.
        is_complex: whether the rows of the weight are real parts and then imaginary ones.
    """

    key: str
    parameter: str
    module: str
    read: Callable[[Tensor, Any], tuple[Tensor, Tensor]]
    degree: int | None = None
    has_bias: bool = True
    is_complex: bool = False


def linear_fits(parent: Model, narrowed: Model, plan: Plan) -> list[LinearFit]:
    """Return the fits; see `irrepress.families.base.Family.linear_fits`."""
    wide = read_architecture(parent.native)
    choice, layout = Choice.of(wide, plan), make_layout(wide)
    fits: list[LinearFit] = []

    def add(name: str, step: int, maps: Sequence[_Map], per_edge: bool = False) -> None:
        columns = {each.key: _columns(each, layout, choice) for each in maps}
        fits.append(_Fit(parent, narrowed, name, step, maps, columns, per_edge))

    for t in range(wide.layers):
        block = f"backbone.blocks.{t}"
        for convolution in ("so2_conv_1", "so2_conv_2"):
            name = f"{block}.edge_wise.{convolution}"
            add(name, 2 * t, _convolution(name, choice.mmax), per_edge=True)
        name = f"{block}.atom_wise.scalar_mlp.0"
        add(name, 2 * t + 1, [_Map("0e", name, name, _scalars)])
        for linear in ("so3_linear_1", "so3_linear_2"):
            name = f"{block}.atom_wise.{linear}"
            add(name, 2 * t + 1, _by_order(name, choice.lmax))
    for place in (0, 2, 4):
        name = f"output_heads.{wide.head}.energy_block.{place}"
        add(name, 2 * wide.layers, [_Map("0e", name, name, _scalars)])
    return fits


def _convolution(name: str, mmax: int) -> list[_Map]:
    maps = [_Map("0e", f"{name}.fc_m0", f"{name}.fc_m0", _scalars)]
    for m in range(1, mmax + 1):
        module = f"{name}.so2_m_conv.{m - 1}"
        parameter = f"{module}.fc"
        maps.append(
            _Map(f"{m}e", parameter, module, _complex_rows, has_bias=False, is_complex=True)
        )
    return maps


def _by_order(name: str, lmax: int) -> list[_Map]:
    def read(degree: int) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
        def rows(inputs: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
            own = slice(degree**2, (degree + 1) ** 2)
            return inputs[:, own].mT, outputs[:, own].mT

        return rows

    return [
        _Map(f"{degree}e", name, name, read(degree), degree=degree, has_bias=degree == 0)
        for degree in range(lmax + 1)
    ]


def _scalars(inputs: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
    # Scalars of atoms come as [atoms, 1, channels] or without the 1.
    return inputs.flatten(1)[:, :, None], outputs.flatten(1)[:, :, None]


def _complex_rows(inputs: Tensor, outputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Rows of a complex map: ``[edges, 2 inputs, 2]`` and ``[edges, outputs, 2]``."""
    plus, minus = inputs.unbind(1)
    first, second = torch.stack([plus, minus], 2), torch.stack([-minus, plus], 2)
    return torch.cat([first, second], 1), torch.stack([part.flatten(1) for part in outputs], 2)


def _columns(each: _Map, layout: Layout, choice: Choice) -> Tensor:
    """Return which outputs of the parent's map are kept."""
    axis = layout[f"{each.parameter}.weight"][-2]
    # The real and the imaginary part have the same outputs.
    return choice.indices(axis[: len(axis) // 2] if each.is_complex else axis)


class _Fit(LinearFit):
    """The maps of one module.

    Args:
        parent: the wide model.
        narrowed: the narrow model.
        name: of the module.
        step: how many steps come before the one that the module is part of.
        maps: the module's maps.
        columns: which outputs of the parent's maps are kept, by key.
        per_edge: rows are edges, and count by their envelope.
    """

    def __init__(
        self,
        parent: Model,
        narrowed: Model,
        name: str,
        step: int,
        maps: Sequence[_Map],
        columns: Mapping[str, Tensor],
        per_edge: bool,
    ):
        self.name = name
        self._parent, self._narrowed = parent, narrowed
        self._step, self._maps, self._per_edge = step, maps, per_edge
        self._columns = columns

    def weights(self) -> dict[str, Tensor]:
        """See the base class."""
        found = {}
        for each in self._maps:
            weight, bias = _parameters(self._narrowed, each)
            # Real and imaginary parts of an output come from inputs side by side.
            matrix = torch.cat(weight.chunk(2), 1) if each.is_complex else weight
            rows = [matrix.T] if bias is None else [matrix.T, bias[None]]
            found[each.key] = torch.cat(rows).detach().double()
        return found

    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        """See the base class."""
        with torch.no_grad():
            for each in self._maps:
                if each.key not in weights:
                    continue
                weight, bias = _parameters(self._narrowed, each)
                matrix = weights[each.key].to(weight)
                if bias is not None:
                    bias.copy_(matrix[-1])
                    matrix = matrix[:-1]
                weight.copy_(_as_weight(matrix, each))

    def rows(self, source: Batch | Progress) -> Rows:
        """See the base class."""
        if isinstance(source, Progress):
            states = source.parent, source.narrowed
        else:
            with torch.no_grad():
                states = tuple(
                    forward.begin(model, source.inputs) for model in (self._parent, self._narrowed)
                )
        inputs: dict[str, Tensor] = {}
        outputs: dict[str, Tensor] = {}
        begun = []
        for model, state in zip((self._parent, self._narrowed), states, strict=True):
            with torch.no_grad():
                state = forward.run(model, state, self._step)
                begun.append(state)
                modules = {
                    each.module: model.network.get_submodule(each.module) for each in self._maps
                }
                with _recorded(modules) as record:
                    _advance(model, state)
            weight = state.envelope[:, None, None] if self._per_edge else None
            for each in self._maps:
                read, made = each.read(*record[each.module])
                if weight is not None:
                    read, made = read * weight, made * weight
                if model is self._narrowed:
                    inputs[each.key] = _with_one(read, weight) if each.has_bias else read
                else:
                    outputs[each.key] = made[:, self._columns[each.key].to(made.device)]
        return Rows(inputs, outputs, Progress(*begun))


def _as_weight(matrix: Tensor, each: _Map) -> Tensor:
    """Return ``[outputs, inputs]``, for complex maps real parts and then imaginary ones."""
    return torch.cat([part.T for part in matrix.chunk(2)]) if each.is_complex else matrix.T


def _with_one(inputs: Tensor, weight: Tensor | None) -> Tensor:
    """Add an input that is 1 in the scalars' only component."""
    one = torch.ones_like(inputs[:, :1])
    return torch.cat([inputs, one if weight is None else one * weight], dim=1)


def _parameters(model: Model, each: _Map) -> tuple[Tensor, Tensor | None]:
    weight = model.network.get_parameter(f"{each.parameter}.weight")
    if each.degree is not None:
        weight = weight[each.degree]
    bias = model.network.get_parameter(f"{each.parameter}.bias") if each.has_bias else None
    return weight, bias


def _advance(model: Model, state: State) -> None:
    """Run the step that a state comes before, or the readout."""
    if state.step < 2 * len(model.network.backbone.blocks):
        forward.run(model, state, state.step + 1)
    else:
        forward.read_out(model, state)


@contextmanager
def _recorded(modules: Mapping[str, torch.nn.Module]) -> Iterator[dict[str, tuple[Tensor, Any]]]:
    """Record first input and output of modules while the context lasts."""
    record: dict[str, tuple[Tensor, Any]] = {}
    with ExitStack() as stack:
        for name, module in modules.items():

            def hook(module: Any, inputs: Any, output: Any, name: str = name) -> None:
                record[name] = inputs[0], output

            stack.callback(module.register_forward_hook(hook).remove)
        yield record
