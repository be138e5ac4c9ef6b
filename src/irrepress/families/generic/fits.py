"""Fits of linear maps in networks that run from step to step: what all families share.

A family says how its networks come to the maps and past them (`Run`), which modules are to be
seen on the way, and how weights and rows are read from these.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from irrepress.core.fits import LinearFit, Pair, Progress, Rows
from irrepress.core.model import Batch, Model

# Where a network stands with a batch, in the family's own form; see `Standing`.
State = Any


@dataclass(frozen=True)
class Standing:
    """Where a network stands with a batch: a dataclass that moves like its tensors.

    Example:
        >>> @dataclass(frozen=True)
        ... class State(Standing):
        ...     layer: int
        ...     features: Tensor
        >>> State(1, torch.ones(2)).to("meta").features.device.type
        'meta'
    """

    def to(self, device: torch.device | str) -> Self:
        """Return the same on another device; what does not lie on one stays as it is."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        moved = {name: value.to(device) for name, value in values if hasattr(value, "to")}
        return replace(self, **moved)


@dataclass(frozen=True)
class Run:
    """How a family's networks come to maps and past them.

    Attributes:
        begin: from a model and its batch to the state before the network's first step.
        enter: from a model and an earlier state to the state before the step with the maps.
        leave: from a model and the state before the step to the state behind the maps.
        last: whether no later fit begins before that step, so that a network whose weights stay
            need not come back to it.
    """

    begin: Callable[[Model, Batch], State]
    enter: Callable[[Model, State], State]
    leave: Callable[[Model, State], State]
    last: bool = False

    @classmethod
    def between(
        cls,
        begin: Callable[[Model, Batch], State],
        advance: Callable[[Model, State, Any], State],
        start: Any,
        stop: Any,
        *,
        last: bool = False,
    ) -> "Run":
        """Return a run by steps of a network, such as its layers.

        Args:
            begin: see `Run`.
            advance: from a model, a state and a step to the state before that step.
            start: the step with the maps.
            stop: the first step behind the maps.
            last: see `Run`.
        """
        return cls(
            begin,
            lambda model, state: advance(model, state, start),
            lambda model, state: advance(model, state, stop),
            last,
        )


class Seen(NamedTuple):
    """What a module got first, and what it gave."""

    entering: Tensor
    leaving: Tensor


# Modules that have run -> what was seen of them.
Record = Mapping[torch.nn.Module, Seen]


class StepFit(LinearFit):
    """Maps that are fitted to what a network computes on its way through one step.

    Args:
        name: of the maps.
        parent: the wide model.
        narrowed: the narrow model.
        run: how both come to the maps.
        parent_run: how the parent comes to its own maps, if those are in other steps than the
            narrow model's, because layers were dropped; None: as in ``run``.
    """

    def __init__(
        self,
        name: str,
        parent: Model,
        narrowed: Model,
        run: Run,
        parent_run: Run | None = None,
    ):
        self.name = name
        self._parent, self._narrowed = parent, narrowed
        self._run, self._parent_run = run, parent_run or run

    @abstractmethod
    def seen(self, model: Model) -> Sequence[torch.nn.Module]:
        """Return the modules of a model that `rows_of` looks at."""

    @abstractmethod
    def rows_of(
        self, parent: Record, narrowed: Record, state: State
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return inputs and outputs as in `Rows`, irreps that are not fitted among them or not.

        Args:
            parent: what was seen in the parent.
            narrowed: what was seen in the narrowed model.
            state: the narrowed model's before the step.
        """

    @torch.no_grad()
    def rows(self, source: Pair | Progress) -> Rows:
        """Run both networks to the maps and past them; see the base class."""
        run, parent_run = self._run, self._parent_run
        parent, narrowed = source.parent, source.narrowed
        if isinstance(source, Pair):
            parent = parent_run.begin(self._parent, parent)
            narrowed = run.begin(self._narrowed, narrowed)
        parent = parent_run.enter(self._parent, parent)
        narrowed = run.enter(self._narrowed, narrowed)
        with _recorded(self.seen(self._narrowed), stop=True) as small:
            run.leave(self._narrowed, narrowed)
        with _recorded(self.seen(self._parent), stop=not parent_run.last) as wide:
            left = parent_run.leave(self._parent, parent)
        inputs, outputs = self.rows_of(wide, small, narrowed)
        fitted = self.weights()
        return Rows(
            {irrep: inputs[irrep] for irrep in fitted},
            {irrep: outputs[irrep] for irrep in fitted},
            # The parent's weights stay; those of the narrowed model are about to change.
            Progress(left if parent_run.last else parent, narrowed),
        )


class _EnoughError(Exception):
    """Ends a run of a network when all that is wanted of it has been seen."""


@contextmanager
def _recorded(modules: Sequence[torch.nn.Module], *, stop: bool) -> Iterator[Record]:
    """Record modules while the context lasts.

    Args:
        modules: the modules.
        stop: leave the context once all of them have run.
    """
    record: dict[torch.nn.Module, Seen] = {}

    def hook(module: torch.nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        record[module] = Seen(inputs[0], output)
        if stop and len(record) == len(modules):
            raise _EnoughError

    handles = [module.register_forward_hook(hook) for module in modules]
    try:
        yield record
    except _EnoughError:
        pass
    finally:
        for handle in handles:
            handle.remove()
