"""The protocol that every family of models implements, and what only some families can do.

Callers ask a `irrepress.core.model.Model`, which carries its family; what its methods promise is
told there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from ase.calculators.calculator import Calculator
from torch import Tensor

from irrepress.core.cost import CostModel, CostTerms
from irrepress.core.errors import UserError
from irrepress.core.groups import Group
from irrepress.core.plan import Plan
from irrepress.core.statistics import DataStatistics
from irrepress.core.structure import Structure

if TYPE_CHECKING:  # a model carries its family
    from irrepress.core.fits import LinearFit
    from irrepress.core.model import Batch, Model, Prediction

# called with a group's name and its features [atoms or edges, channels, dim] after the gate; where
# a group stands for a whole order or component, the norms of its features over the channels
Observer = Callable[[str, Tensor], None]


@dataclass(frozen=True)
class WeightBlock:
    """A matrix of path or radial weights that may be quantized.

    Attributes:
        parameter: name of the parameter in ``model.network.named_parameters()``.
        start: where the matrix begins in the flattened parameter.
        shape: ``(rows, columns)``; columns are output channels.
        transposed: the parameter holds the matrix column after column.
    """

    parameter: str
    start: int
    shape: tuple[int, int]
    transposed: bool = False


class Family(ABC):
    """What irrepress needs to know of a family of models.

    Adapters hold no state. A narrowed model is rebuilt by the family's own constructor, so
    that saved files load where irrepress is not installed.

    Example:
        >>> from irrepress.families import get_family
        >>> family = get_family("sevennet")
        >>> model = family.load("7net-0")
        >>> model.family.name
        'sevennet'
    """

    name: ClassVar[str]
    # The family's own package, as its installer calls it.
    package: ClassVar[str]
    # Cost terms (`cost_terms`) that do not grow with the number of neighbours.
    terms_without_neighbours: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def resolve(self, source: str | Path, *, licence: str | None = None) -> Path:
        """Return the file of a checkpoint given by the family's keyword or by its path.

        Args:
            source: keyword or path.
            licence: name of the licence that the user accepts; needed for keywords of checkpoints
                whose licence restricts their use.

        Raises:
            UserError: no such keyword or file, a licence that has to be accepted and was not, or
                the download failed.
        """

    @abstractmethod
    def load(
        self, source: str | Path, *, modal: str | None = None, dtype: torch.dtype = torch.float32
    ) -> Model:
        """Load a model by the family's keyword or from a path, onto the CPU.

        Raises:
            UserError: no such keyword or file, a truncated file, a checkpoint of another
                family, a modal that is missing or unknown, parameters that are not finite.
        """

    @abstractmethod
    def build(
        self,
        native: dict[str, Any],
        *,
        modal: str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Model:
        """Build a model with new weights from the family's own configuration.

        Args:
            native: a `Model.native`, also after a round trip through plain Python types.
            modal: the level of theory that the model is to use.
            dtype: floating-point type of the parameters.
        """

    @abstractmethod
    def calculator(
        self, path: str | Path, *, device: str = "cpu", modal: str | None = None
    ) -> Calculator:
        """The family's own ASE calculator on a saved model."""

    def own_code(self) -> str:
        """Name the code that ``predict(native=True)`` runs: package, version, settings."""
        return f"{self.package} {version(self.package)}"

    @abstractmethod
    def save(self, model: Model, path: str | Path, *, dtype: torch.dtype | None = None) -> None:
        """Implement `Model.save`."""

    @abstractmethod
    def batch(self, model: Model, structures: Sequence[Structure]) -> Batch:
        """Implement `Model.batch`, always on the CPU."""

    @abstractmethod
    def predict(
        self, model: Model, batch: Batch, *, create_graph: bool = False, native: bool = False
    ) -> Prediction:
        """Implement `Model.predict`."""

    @abstractmethod
    def atomic_energies(self, model: Model, batch: Batch) -> Tensor:
        """Implement `Model.atomic_energies`."""

    @abstractmethod
    def groups(self, model: Model) -> list[Group]:
        """Implement `Model.groups`."""

    @abstractmethod
    def gated(
        self, model: Model, gates: Mapping[str, Tensor], observer: Observer | None = None
    ) -> AbstractContextManager[None]:
        """Implement `Model.gated`."""

    @abstractmethod
    def native_plan(self, model: Model, plan: Plan) -> tuple[Plan, list[str]]:
        """Implement `Model.native_plan`."""

    @abstractmethod
    def narrow_blocks(self, model: Model, plan: Plan) -> Model:
        """Remove the blocks that a plan does not keep, whatever its cutoff; see `Model.narrow`."""

    @abstractmethod
    def linear_fits(self, parent: Model, narrowed: Model, plan: Plan) -> Sequence[LinearFit]:
        """Implement `Model.linear_fits` of ``parent``."""

    @abstractmethod
    def fresh(self, model: Model, seed: int) -> Model:
        """Implement `Model.fresh`."""

    @abstractmethod
    def shift_energies(self, model: Model, shifts: Mapping[int, float]) -> None:
        """Implement `Model.shift_energies`."""

    @abstractmethod
    def cost_model(self, model: Model, neighbours: float) -> CostModel:
        """Implement `Model.cost_model`."""

    @abstractmethod
    def cost_terms(self, model: Model) -> CostTerms:
        """Implement `Model.cost_terms`."""

    @abstractmethod
    def block_norms(self, model: Model) -> dict[str, Tensor]:
        """Implement `Model.block_norms`."""

    @abstractmethod
    def weight_blocks(self, model: Model) -> list[WeightBlock]:
        """Implement `Model.weight_blocks`."""

    @abstractmethod
    def parameter_roles(self, model: Model) -> dict[str, str]:
        """Implement `Model.parameter_roles`."""

    def has_reflections(self, model: Model) -> bool:
        """Implement `Model.has_reflections`."""
        return False

    @abstractmethod
    def shape(self, model: Model) -> dict[str, Any]:
        """Implement `Model.shape`."""


class MakesUntrained(ABC):
    """A family that makes models with random weights from settings."""

    @abstractmethod
    def untrained(
        self,
        settings: Mapping[str, Any],
        data: DataStatistics,
        *,
        seed: int,
        modal: str | None = None,
    ) -> Model:
        """Implement `make_untrained`."""


class RestrictsElements(ABC):
    """A family whose models can leave out elements."""

    @abstractmethod
    def restrict_elements(self, model: Model, elements: Iterable[int]) -> Model:
        """Implement `Model.restrict_elements`."""


class ShortensCutoff(ABC):
    """A family that can shorten the cutoff of its models."""

    @abstractmethod
    def shorten_cutoff(self, model: Model, cutoff: float) -> Model:
        """Return the model that comes nearest with a shorter cutoff in Å, which was checked."""


def make_untrained(
    family: Family,
    settings: Mapping[str, Any],
    data: DataStatistics,
    *,
    seed: int,
    modal: str | None = None,
) -> Model:
    """A model with random float32 weights, to be trained from scratch.

    Args:
        family: the family.
        settings: settings of the architecture, by the names that they have in the family's own
            configuration; those that are absent are those of a small model of the family.
        data: what it will be trained on. The model knows its elements; reference energies,
            scale and the mean number of neighbours are set where the family has them.
        seed: seed for the weights.
        modal: name of the level of theory, where the family's files name even a single one.

    Raises:
        UserError: an unknown or impossible setting, or the family makes no such models.
    """
    if not isinstance(family, MakesUntrained):
        raise UserError(
            f"untrained: the family {family.name!r} makes no models from settings; name a "
            "checkpoint instead"
        )
    return family.untrained(settings, data, seed=seed, modal=modal)
