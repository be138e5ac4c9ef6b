"""A family of models as a description: functions that it names, and what follows from them."""

import copy
import warnings
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from ase.calculators.calculator import Calculator
from torch import Tensor

from irrepress.catalogue.families import check_settings, is_path
from irrepress.core.errors import explained
from irrepress.core.family import Family, MakesUntrained, Observer, WeightBlock
from irrepress.core.finite import require_finite
from irrepress.core.groups import Group
from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.core.statistics import DataStatistics
from irrepress.families.generic import gates as gating
from irrepress.families.generic import layout as layouts
from irrepress.families.generic.building import seeded
from irrepress.families.generic.layout import Layout
from irrepress.families.generic.rounding import Keep

# What a network is made of, as data; each family has a type of its own.
Architecture = TypeVar("Architecture")


class DescribedFamily(Family, Generic[Architecture]):
    """A family that names the functions which are its own; the rest is written once, here.

    A subclass is a list of names: the abstract methods below, and those of
    `irrepress.core.family.Family` that are left abstract here. It may be
    `MakesUntrained` by way of `BuiltFromSettings`, and one of the other protocols of
    `irrepress.core.family`.

    Attributes:
        roles: texts in names of parameters and what such parameters do; see
            `irrepress.families.generic.layout.parameter_roles`.
        constants: texts in names of parameters and buffers that hold constants of the data, such
            as reference energies, or of the basis: new weights leave them as they are.

    Example:
        The beginning of a family; a type checker compares signatures, and a family that forgets a
        name cannot be instantiated:

        >>> class MyFamily(DescribedFamily[dict[str, int]]):
        ...     name = "mine"
        ...     architecture = staticmethod(lambda model: model.native["widths"])
        >>> MyFamily()  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        TypeError: Can't instantiate abstract class MyFamily with abstract methods ...
    """

    roles: ClassVar[Sequence[tuple[str, str]]]
    constants: ClassVar[Sequence[str]] = ()

    # --- what a family names: its files ----------------------------------------------------------

    @staticmethod
    @abstractmethod
    def fetch(keyword: str, licence: str | None, /) -> Path:
        """Return the file of a keyword, downloaded or made if need be; see `Family.resolve`."""

    @staticmethod
    @abstractmethod
    def load_file(path: Path, modal: str | None, dtype: torch.dtype, /) -> Model:
        """Load a model from a path; see `Family.load`."""

    @staticmethod
    @abstractmethod
    def open_calculator(path: Path, device: str, modal: str | None, /) -> Calculator:
        """Return the family's own calculator on a file; see `Family.calculator`."""

    # --- its networks ----------------------------------------------------------------------------

    @staticmethod
    @abstractmethod
    def architecture(model: Model, /) -> Architecture:
        """Return what the network of a model is made of."""

    @staticmethod
    @abstractmethod
    def make_groups(architecture: Architecture, /) -> list[Group]:
        """Return all groups of blocks in the order of the network."""

    @staticmethod
    @abstractmethod
    def layout(model: Model, /) -> Layout:
        """Return where the channels of every group lie in the parameters of a model."""

    @staticmethod
    @abstractmethod
    def points(
        model: Model, architecture: Architecture, groups: Mapping[str, Group], /
    ) -> Iterable[gating.Point]:
        """Yield where groups, given by name, are gated and observed, in the network's order."""

    @staticmethod
    @abstractmethod
    def describe(architecture: Architecture, /) -> dict[str, Any]:
        """Return `Model.shape` but for the cutoff and the number of elements."""

    # --- what its constructor can build ----------------------------------------------------------

    @staticmethod
    @abstractmethod
    def round_plan(architecture: Architecture, keep: Keep, /) -> list[str]:
        """Change what is kept to what the constructor can hold, in place; see `Model.native_plan`.

        Returns:
            One message for each change.
        """

    @staticmethod
    @abstractmethod
    def narrow_native(
        native: Mapping[str, Any], architecture: Architecture, plan: Plan, /
    ) -> dict[str, Any]:
        """Return the `Model.native` of the network that a plan leaves of another one's."""

    @staticmethod
    @abstractmethod
    def rebuild(
        model: Model, native: dict[str, Any], keep: Mapping[str, Sequence[int]], /
    ) -> Model:
        """Build the network of a `Model.native` with the weights that stay of a model's.

        Args:
            model: the wide model.
            native: of the narrow network.
            keep: group -> channels that stay; groups that are absent stay whole.
        """

    # --- what follows ----------------------------------------------------------------------------

    def resolve(self, source: str | Path, *, licence: str | None = None) -> Path:
        """Return the path itself, or the file of a keyword; see the base class."""
        if is_path(str(source)) and Path(source).exists():
            return Path(source)
        return self.fetch(str(source), licence)

    def load(
        self, source: str | Path, *, modal: str | None = None, dtype: torch.dtype = torch.float32
    ) -> Model:
        """Load a model whose numbers are all finite; see the base class."""
        return require_finite(self.load_file(self.resolve(source), modal, dtype), source)

    def calculator(
        self, path: str | Path, *, device: str = "cpu", modal: str | None = None
    ) -> Calculator:
        """The family's own ASE calculator, without the warnings of its package."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.open_calculator(self.resolve(path), device, modal)

    def groups(self, model: Model) -> list[Group]:
        """The groups of the architecture; see the base class."""
        return self.make_groups(self.architecture(model))

    def gated(
        self, model: Model, gates: Mapping[str, Tensor], observer: Observer | None
    ) -> AbstractContextManager[None]:
        """Gate blocks by hooks at all points; see the base class."""
        architecture = self.architecture(model)
        groups = {group.name: group for group in self.make_groups(architecture)}
        points = self.points(model, architecture, groups)
        return gating.gated(model, list(groups.values()), points, gates, observer)

    def native_plan(self, model: Model, plan: Plan) -> tuple[Plan, list[str]]:
        """Round a plan; see the base class."""
        keep = {name: tuple(kept) for name, kept in plan.keep.items()}
        messages = self.round_plan(self.architecture(model), keep)
        return replace(plan, keep=keep), messages

    def narrow_blocks(self, model: Model, plan: Plan) -> Model:
        """Build the smaller network with the family's constructor; see the base class."""
        architecture = self.architecture(model)
        plan.check(self.make_groups(architecture))
        native = self.narrow_native(model.native, architecture, plan)
        return self.rebuild(model, native, plan.keep)

    def fresh(self, model: Model, seed: int) -> Model:
        """Build the same network with new weights; `constants` stay. See the base class."""
        with seeded(seed):
            native = copy.deepcopy(model.native)
            made = self.build(native, modal=model.modal, dtype=model.dtype)
        given = model.network.state_dict()
        with torch.no_grad():
            for name, tensor in made.network.state_dict().items():
                if any(text in name for text in self.constants):
                    tensor.copy_(given[name])
        return made.to(model.device)

    def block_norms(self, model: Model) -> dict[str, Tensor]:
        """Norms of the weights that read a block; see the base class."""
        return layouts.block_norms(model, self.layout(model), self.groups(model))

    def weight_blocks(self, model: Model) -> list[WeightBlock]:
        """Matrices of the layout that may be quantized; see the base class."""
        return layouts.weight_blocks(model.network, self.layout(model))

    def parameter_roles(self, model: Model) -> dict[str, str]:
        """Roles by the names of parameters; see the base class."""
        return layouts.parameter_roles(model, self.roles)

    def shape(self, model: Model) -> dict[str, Any]:
        """What the architecture says, the cutoff in Å and the number of elements."""
        found = self.describe(self.architecture(model))
        return {**found, "cutoff": model.cutoff, "elements": len(model.elements)}


class BuiltFromSettings(Family, MakesUntrained):
    """A family that makes untrained models by building from settings."""

    @staticmethod
    @abstractmethod
    def native_of(
        settings: Mapping[str, Any], data: DataStatistics, modal: str | None, /
    ) -> dict[str, Any]:
        """Return the `Model.native` that settings stand for.

        Args:
            settings: known ones, by name; those that are absent are a small model's.
            data: elements, reference energies, scale and numbers of neighbours.
            modal: name of the level of theory, where the family's files name even a single one.
        """

    def untrained(
        self,
        settings: Mapping[str, Any],
        data: DataStatistics,
        *,
        seed: int,
        modal: str | None = None,
    ) -> Model:
        """Build from what the settings stand for, with weights from the seed."""
        check_settings(self.name, settings)
        problem = f"untrained: {self.package} cannot build a network of these settings"
        # What a wrong value runs into depends on the constructor.
        with explained(problem, "correct them"):
            native = self.native_of(settings, data, modal)
            with seeded(seed):
                return self.build(native, modal=modal)
