"""Gates on irreps blocks and observers of them, for any network whose family names its sites.

A family yields `Point`s: a `Site` says in which tensor of which module channels of groups lie and
how; a `Norm`, which normalisation must count kept channels alone; an `Observed`, what is shown of
a tensor that nothing is multiplied into. Everything else is done here.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from irrepress.core.errors import UserError, nearest
from irrepress.core.family import Observer
from irrepress.core.groups import Group
from irrepress.core.model import Model

# What the rows of a tensor are.
Rows = Literal["atoms", "edges", "structures"]
# From a gated tensor to what an observer sees: names of groups, [rows, channels, components].
Views = Callable[[Tensor], Iterable[tuple[str, Tensor]]]


@dataclass(frozen=True)
class Axis:
    """Whose channels lie along one axis of a tensor.

    Attributes:
        groups: names of groups, whose channels are counted one group after another; None stands
            for one channel that is never removed.
        channels: for each element of the axis the channel that it belongs to, ``[size]`` int64.
        axis: the axis, counted from 1; rows are axis 0.
    """

    groups: tuple[str | None, ...]
    channels: Tensor
    axis: int = 1


class Point(ABC):
    """A place in a network where gates or observers have something to do."""

    @abstractmethod
    def place(self, gating: "Gating") -> Iterator[RemovableHandle]:
        """Place the hooks that are needed, if any; yield their handles."""


@dataclass(frozen=True)
class Site(Point):
    """A tensor that is multiplied by gates.

    Attributes:
        module: whose output or input it is; a name stands for a tensor that the family's own
            code hands to `at` by that name.
        axes: whose channels lie in it; an element is multiplied by the gates of all its axes.
        rows: what its rows are.
        views: what an observer sees of it; None: nothing.
        key: of the tensor in a mapping that the module gives; None: it is the output.
        argument: index of the tensor among the inputs of the module; None: it is an output.

    Example:
        >>> site = side_by_side(network.linear, groups)
        >>> with gated(model, groups, [site], gates, observer=None):
        ...     prediction = model.predict(batch)
    """

    module: torch.nn.Module | str
    axes: tuple[Axis, ...]
    rows: Rows = "atoms"
    views: Views | None = None
    key: str | None = None
    argument: int | None = None

    def place(self, gating: "Gating") -> Iterator[RemovableHandle]:
        """Place one hook; see the base class."""
        seen = gating.observer is not None and self.views is not None
        if isinstance(self.module, str) or not (
            seen or any(gating.sets(axis.groups) for axis in self.axes)
        ):
            return
        if self.argument is None:
            yield self.module.register_forward_hook(
                lambda module, inputs, output: self._on_output(gating, output)
            )
        else:
            place = self.argument
            yield self.module.register_forward_pre_hook(
                lambda module, inputs: self._on_input(gating, list(inputs), place)
            )

    def _on_output(self, gating: "Gating", output: Any) -> Any:
        if self.key is None:
            return self.apply(gating, output)
        output[self.key] = self.apply(gating, output[self.key])
        return output

    def _on_input(self, gating: "Gating", inputs: list[Any], place: int) -> tuple[Any, ...]:
        inputs[place] = self.apply(gating, inputs[place])
        return tuple(inputs)

    def apply(self, gating: "Gating", features: Tensor) -> Tensor:
        """Return the gated tensor, after the observer has seen it."""
        factor = None
        for axis in self.axes:
            if gating.sets(axis.groups):
                own = gating.per_structure(axis.groups, features)
                own = own.index_select(1, axis.channels.to(own.device))
                shape = [1] * features.ndim
                shape[0], shape[axis.axis] = own.shape
                factor = own.view(shape) if factor is None else factor * own.view(shape)
        if factor is not None:
            features = features * gating.per_row(factor, self.rows)
        if gating.observer is not None and self.views is not None:
            for name, view in self.views(features):
                gating.observer(name, view)
        return features


@dataclass(frozen=True)
class Norm(Point):
    """A normalisation that must not count channels whose gates are 0.

    Attributes:
        module: the normalisation.
        groups: names of the groups that it runs over.
        normalized: makes its output of the gates and its input.
    """

    module: torch.nn.Module
    groups: tuple[str, ...]
    normalized: Callable[["Gating", Tensor], Tensor]

    def place(self, gating: "Gating") -> Iterator[RemovableHandle]:
        """Replace the module's output where gates are set; see the base class."""
        if gating.sets(self.groups):
            yield self.module.register_forward_hook(
                lambda module, inputs, output: self.normalized(gating, inputs[0])
            )


@dataclass(frozen=True)
class Observed(Point):
    """What an observer sees of the inputs of a module, which are gated elsewhere.

    Attributes:
        module: the module.
        views: from its inputs to names of groups and features, ``[rows, channels, components]``.
    """

    module: torch.nn.Module
    views: Callable[..., Iterable[tuple[str, Tensor]]]

    def place(self, gating: "Gating") -> Iterator[RemovableHandle]:
        """Place one hook if somebody observes; see the base class."""
        observer = gating.observer
        if observer is not None:
            yield self.module.register_forward_hook(
                lambda module, inputs, output: self._show(observer, inputs)
            )

    def _show(self, observer: Observer, inputs: tuple[Any, ...]) -> None:
        for name, view in self.views(*inputs):
            observer(name, view)


class Gating:
    """Gates and an observer, while they are set on a model.

    Attributes:
        observer: sees gated features; None: nobody does.
    """

    def __init__(
        self, groups: Mapping[str, Group], gates: Mapping[str, Tensor], observer: Observer | None
    ):
        _check(gates, groups)
        self._groups, self._gates = groups, gates
        self.observer = observer
        self.sites: dict[str, Site] = {}
        self._structure_of: dict[Rows, Tensor] = {}

    def start(self, structure: Tensor, atoms: Tensor) -> None:
        """Take note of which structure each atom and each edge of a batch belongs to."""
        self._structure_of = {"atoms": structure, "edges": structure[atoms]}

    def sets(self, groups: Iterable[str | None]) -> bool:
        """Whether any of the groups is gated."""
        return any(name in self._gates for name in groups)

    def per_structure(self, groups: Iterable[str | None], like: Tensor) -> Tensor:
        """Return gates of groups one after another, ``[structures or 1, channels]``."""
        parts = [self._gate(name, like) for name in groups]
        count = max(map(len, parts))
        return torch.cat([part.expand(count, -1) for part in parts], dim=1)

    def per_row(self, factor: Tensor, rows: Rows) -> Tensor:
        """Return what is given for each structure for each row of a tensor of the batch."""
        if len(factor) == 1 or rows == "structures":
            return factor
        return factor.index_select(0, self._structure_of[rows])

    def _gate(self, name: str | None, like: Tensor) -> Tensor:
        if name is None:
            return like.new_ones(1, 1)
        if name in self._gates:
            gate = self._gates[name].to(like)
            return gate if gate.ndim == 2 else gate[None]
        return like.new_ones(1, self._groups[name].channels)


# The gates that are set on a model, the innermost context last.
_SET: WeakKeyDictionary[Model, tuple[Gating, ...]] = WeakKeyDictionary()


@contextmanager
def gated(
    model: Model,
    groups: Sequence[Group],
    points: Iterable[Point],
    gates: Mapping[str, Tensor],
    observer: Observer | None,
) -> Iterator[None]:
    """Gate blocks while the context lasts; see `irrepress.core.family.Family.gated`.

    Args:
        model: the model.
        groups: all its groups.
        points: where they are in its network.
        gates: group name -> gates, ``[channels]`` or ``[structures, channels]``.
        observer: sees the gated features of every group; None: nobody does.

    Raises:
        UserError: gates of no such group, or of another shape.
    """
    gating = Gating({group.name: group for group in groups}, gates, observer)
    outer = _SET.get(model, ())
    with ExitStack() as stack:
        stack.callback(_SET.__setitem__, model, outer)
        _SET[model] = (*outer, gating)
        for point in points:
            if isinstance(point, Site) and isinstance(point.module, str):
                gating.sites[point.module] = point
            for handle in point.place(gating):
                stack.callback(handle.remove)
        yield


def is_gated(model: Model) -> bool:
    """Whether gates or an observer are set on a model."""
    return bool(_SET.get(model))


def start(model: Model, structure: Tensor, atoms: Tensor) -> None:
    """Tell the gates of a model, if it has any, which batch it is about to run on.

    Args:
        model: the model.
        structure: of each atom, ``[atoms]``.
        atoms: one atom of each edge, ``[edges]``.
    """
    for gating in _SET.get(model, ()):
        gating.start(structure, atoms)


def at(model: Model, site: str, features: Tensor) -> Tensor:
    """Return a tensor that is no module's own, gated if gates are set; see `Site.module`."""
    for gating in _SET.get(model, ()):
        features = gating.sites[site].apply(gating, features)
    return features


def side_by_side(
    module: torch.nn.Module,
    groups: Sequence[Group],
    rows: Rows = "atoms",
    *,
    key: str | None = None,
    argument: int | None = None,
) -> Site:
    """Return a site of groups one after another, each ``[channels, dim]``, as in e3nn."""
    sizes = [group.channels * group.dim for group in groups]
    channels = torch.arange(sum(group.channels for group in groups))
    dims = torch.tensor([group.dim for group in groups for _ in range(group.channels)])

    def views(features: Tensor) -> Iterator[tuple[str, Tensor]]:
        for group, part in zip(groups, features.split(sizes, dim=1), strict=True):
            yield group.name, part.reshape(len(part), group.channels, group.dim)

    names = tuple(group.name for group in groups)
    axis = Axis(names, channels.repeat_interleave(dims))
    return Site(module, (axis,), rows, views, key, argument)


def layer_norm(module: torch.nn.LayerNorm, group: str, rows: Rows) -> Norm:
    """Return a normalisation over the channels of one group, whose mean counts what is kept."""

    def normalized(gating: Gating, features: Tensor) -> Tensor:
        gate = gating.per_row(gating.per_structure([group], features), rows)
        share = gate / gate.sum(1, keepdim=True).clamp_min(1)
        centred = features - (share * features).sum(1, keepdim=True)
        variance = (share * centred.square()).sum(1, keepdim=True)
        return centred * (variance + module.eps).rsqrt() * module.weight + module.bias

    return Norm(module, (group,), normalized)


def _check(gates: Mapping[str, Tensor], groups: Mapping[str, Group]) -> None:
    for name, gate in gates.items():
        if name not in groups:
            raise UserError(f"gates: the model has no group {name!r}; {nearest(name, groups)}")
        if gate.shape[-1] != groups[name].channels or gate.ndim not in (1, 2):
            raise UserError(
                f"gates: {name!r} has shape {tuple(gate.shape)}, expected "
                f"[{groups[name].channels}] or [structures, {groups[name].channels}]"
            )
