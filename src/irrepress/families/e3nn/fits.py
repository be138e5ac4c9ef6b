"""Fits of e3nn's linear maps, and their weights as plain matrices.

e3nn divides by the square root of the fan-in when it runs (``path_weight``). In the matrices used
here that factor is part of the weights. Works with e3nn 0.4 and newer, which is not imported here,
since with some versions other packages must be imported before it.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from math import prod
from typing import Any

import torch
from torch import Tensor

from irrepress.core.model import Model, NativeModule
from irrepress.families.generic.fits import Record, Run, State, StepFit

# irrep -> [inputs, outputs]
Dense = dict[str, Tensor]
# irrep -> indices of the parent's output channels that are kept; absent irreps: all
Columns = Mapping[str, Tensor]


class LinearMapsFit(StepFit):
    """Maps of e3nn whose outputs are added.

    Args:
        name: of the maps.
        parent: the wide model.
        narrowed: the narrow model.
        run: how both come to the maps.
        modules: names of the maps in the network. Those that are no linear maps of features
            alone, but of products with the element, are not fitted: the others make up for them.
        columns: which output channels of the parent the narrow model holds.
        parent_run: how the parent comes to its maps; None: as in ``run``.
        parent_modules: names of the parent's maps; empty: those of ``modules``.
    """

    def __init__(
        self,
        name: str,
        parent: Model,
        narrowed: Model,
        run: Run,
        modules: Sequence[str],
        columns: Columns,
        parent_run: Run | None = None,
        parent_modules: Sequence[str] = (),
    ):
        super().__init__(name, parent, narrowed, run, parent_run)
        self._modules, self._parent_modules = modules, parent_modules or modules
        self._columns = columns

    def seen(self, model: Model) -> list[NativeModule]:
        """Return the maps; see the base class."""
        names = self._parent_modules if model is self._parent else self._modules
        return [model.network.get_submodule(name) for name in names]

    def weights(self) -> dict[str, Tensor]:
        """See the base class; inputs of all maps come one after another."""
        dense = [read_dense(module) for module in self._fitted()]
        irreps = dict.fromkeys(irrep for each in dense for irrep in each)
        return {
            irrep: torch.cat([each[irrep] for each in dense if irrep in each]) for irrep in irreps
        }

    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        """See the base class."""
        start = dict.fromkeys(weights, 0)
        for module in self._fitted():
            parts = {}
            for irrep, dense in read_dense(module).items():
                if irrep in weights:
                    end = start[irrep] + len(dense)
                    parts[irrep] = weights[irrep][start[irrep] : end]
                    start[irrep] = end
            write_dense(module, parts)

    def rows_of(
        self, parent: Record, narrowed: Record, state: State
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """See the base class."""
        wide = self.seen(self._parent)
        total = reduce(torch.add, (_unbiased(module, parent[module].leaving) for module in wide))
        outputs = by_irrep(total, wide[0].irreps_out)
        for irrep, kept in self._columns.items():
            if irrep in outputs:
                outputs[irrep] = outputs[irrep][:, kept.to(total.device)]
        inputs: dict[str, list[Tensor]] = {}
        for module in self.seen(self._narrowed):
            if _is_linear(module):
                entering = by_irrep(narrowed[module].entering, module.irreps_in)
                for irrep, features in entering.items():
                    inputs.setdefault(irrep, []).append(features)
            else:
                leaving = by_irrep(narrowed[module].leaving, module.irreps_out)
                for irrep, features in leaving.items():
                    outputs[irrep] = outputs[irrep] - features
        return {irrep: torch.cat(parts, dim=1) for irrep, parts in inputs.items()}, outputs

    def _fitted(self) -> list[NativeModule]:
        return [module for module in self.seen(self._narrowed) if _is_linear(module)]


def read_dense(module: NativeModule) -> Dense:
    """Return the weights of a ``Linear`` in float64, terms of one irrep joined, 0 without a path.

    Example:
        >>> linear = Linear("4x0e", "2x0e")
        >>> read_dense(linear)["0e"].shape
        torch.Size([4, 2])
    """
    found: Dense = {}
    for irrep, place, weight, factor in _paths(module):
        if irrep not in found:
            size = module.irreps_in.count(irrep), module.irreps_out.count(irrep)
            found[irrep] = weight.new_zeros(size, dtype=torch.float64)
        found[irrep][place] = weight.detach().double() * factor
    return found


@torch.no_grad()
def write_dense(module: NativeModule, dense: Mapping[str, Tensor]) -> None:
    """Set the weights of a ``Linear``, in the form of `read_dense`; irreps that are absent stay."""
    for irrep, place, weight, factor in _paths(module):
        if irrep in dense:
            weight.copy_(dense[irrep][place] / factor)


def by_irrep(features: Tensor, irreps: Any) -> dict[str, Tensor]:
    """Return features ``[rows, dimension]`` as irrep -> ``[rows, channels, 2 l + 1]``.

    Args:
        features: the features.
        irreps: e3nn's; terms of one irrep are joined.
    """
    parts: dict[str, list[Tensor]] = {}
    sizes = [term.dim for term in irreps]
    for (channels, irrep), part in zip(irreps, features.split(sizes, dim=1), strict=True):
        parts.setdefault(str(irrep), []).append(part.reshape(len(part), channels, irrep.dim))
    return {irrep: torch.cat(found, dim=1) for irrep, found in parts.items()}


def _is_linear(module: NativeModule) -> bool:
    return hasattr(module, "irreps_in")


def _unbiased(module: NativeModule, output: Tensor) -> Tensor:
    """Return a map's output without its biases, which are not fitted."""
    bias = getattr(module, "bias", None)
    return output - bias if bias is not None and bias.numel() else output


def _paths(
    module: NativeModule,
) -> Iterator[tuple[str, tuple[slice, slice], Tensor, float]]:
    """Yield irrep, place in the joined matrix, weights, and e3nn's factor of every path."""
    rows, columns = _first_channels(module.irreps_in), _first_channels(module.irreps_out)
    start = 0
    for path in module.instructions:
        if path.i_in < 0:  # a bias
            continue
        inputs, outputs = path.path_shape
        size = prod(path.path_shape)
        weight = module.weight[start : start + size].view(inputs, outputs)
        start += size
        row, column = rows[path.i_in], columns[path.i_out]
        place = slice(row, row + inputs), slice(column, column + outputs)
        yield str(module.irreps_in[path.i_in].ir), place, weight, path.path_weight


def _first_channels(irreps: Any) -> list[int]:
    """Return for every term its first channel among all of the same irrep."""
    found: list[int] = []
    total: dict[Any, int] = {}
    for channels, irrep in irreps:
        found.append(total.get(irrep, 0))
        total[irrep] = total.get(irrep, 0) + channels
    return found
