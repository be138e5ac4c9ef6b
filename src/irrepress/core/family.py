"""The interface that every family of models implements, and optional ones for some families.

Callers use a `irrepress.core.model.Model`, which holds its family and documents the methods.
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

# Called with a group's name and its features after the gate, [atoms or edges, channels, dim]. For a
# group that represents an entire order or component, the norms of its features over the channels.
Observer = Callable[[str, Tensor], None]


@dataclass(frozen=True)
class WeightBlock:
    """A matrix of path or radial weights that may be quantized.

    Attributes:
        parameter: name of the parameter in ``model.network.named_parameters()``.
        start: index in the flattened parameter where the matrix begins.
        shape: ``(rows, columns)``; columns are output channels.
        transposed: whether the parameter stores the matrix column by column.

    Example:
        >>> block = WeightBlock("embedding.weight", start=0, shape=(16, 32))
        >>> torch.arange(1024)[block.start :][: 16 * 32].reshape(block.shape).shape
        torch.Size([16, 32])
    """

    parameter: str
    start: int
    shape: tuple[int, int]
    transposed: bool = False


class Family(ABC):
    """The interface between irrepress and a family of models.

    Subclasses hold no state. Narrowed models are rebuilt by the family's own constructor, so that
    saved files can be loaded without irrepress. Most methods follow from a description of the
    family's networks: authors of a family write such a description
    (`irrepress.families.generic.family.DescribedFamily`) and none of the methods below.

    Attributes:
        name: name of the family in configs.
        package: name of the family's own package on PyPI.
        terms_without_neighbours: cost terms (`cost_terms`) that do not depend on the number of
            neighbours.

    Example:
        >>> from irrepress.families import get_family
        >>> family = get_family("sevennet")
        >>> model = family.load("7net-0")
        >>> model.family.name
        'sevennet'
    """

    name: ClassVar[str]
    package: ClassVar[str]
    terms_without_neighbours: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def resolve(self, source: str | Path, *, licence: str | None = None) -> Path:
        """Return the file of a checkpoint given by the family's keyword or by its path.

        Args:
            source: keyword or path.
            licence: name of the licence that the user accepts; required for keywords of checkpoints
                with a restrictive licence.

        Raises:
            UserError: if there is no such keyword or file, the licence must be accepted and was
                not, or the download failed.
        """

    @abstractmethod
    def load(
        self, source: str | Path, *, modal: str | None = None, dtype: torch.dtype = torch.float32
    ) -> Model:
        """Load a model onto the CPU, from the family's keyword or from a path.

        No code of the file is run.

        Raises:
            UserError: if there is no such keyword or file, the file is truncated or from another
                family, the modal is missing or unknown, or parameters are not finite.
        """

    @abstractmethod
    def build(
        self,
        native: dict[str, Any],
        *,
        modal: str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Model:
        """Build a model with new random weights from the family's own configuration.

        Args:
            native: the configuration, as in `Model.native`; a round trip through JSON is allowed.
            modal: the level of theory to use in a multi-modal model.
            dtype: floating-point type of the parameters.
        """

    @abstractmethod
    def calculator(
        self, path: str | Path, *, device: str = "cpu", modal: str | None = None
    ) -> Calculator:
        """Return the family's own ASE calculator for a saved model, checked as in `load`."""

    def own_code(self) -> str:
        """Name the code that ``predict(native=True)`` runs: package, version, settings."""
        return f"{self.package} {version(self.package)}"

    @abstractmethod
    def content(self, model: Model, dtype: torch.dtype | None) -> bytes:
        """Return what `Model.save` writes; equal models give equal bytes."""

    @abstractmethod
    def batch(self, model: Model, structures: Sequence[Structure]) -> Batch:
        """Implement `Model.batch`, always on the CPU."""

    @abstractmethod
    def predict(self, model: Model, batch: Batch, create_graph: bool, native: bool) -> Prediction:
        """Implement `Model.predict`."""

    @abstractmethod
    def atomic_energies(self, model: Model, batch: Batch) -> Tensor:
        """Implement `Model.atomic_energies`."""

    @abstractmethod
    def groups(self, model: Model) -> list[Group]:
        """Implement `Model.groups`."""

    @abstractmethod
    def gated(
        self, model: Model, gates: Mapping[str, Tensor], observer: Observer | None
    ) -> AbstractContextManager[None]:
        """Implement `Model.gated`."""

    @abstractmethod
    def native_plan(self, model: Model, plan: Plan) -> tuple[Plan, list[str]]:
        """Implement `Model.native_plan`."""

    @abstractmethod
    def narrow_blocks(self, model: Model, plan: Plan) -> Model:
        """Remove the blocks that a plan does not keep, ignoring its cutoff; see `Model.narrow`."""

    @abstractmethod
    def linear_fits(self, parent: Model, narrowed: Model, plan: Plan) -> Sequence[LinearFit]:
        """Implement `Model.linear_fits` for ``parent``."""

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

    @abstractmethod
    def shape(self, model: Model) -> dict[str, Any]:
        """Implement `Model.shape`."""


class MakesUntrained(ABC):
    """A family that can build models with random weights from settings.

    Example:
        >>> from irrepress.families import get_family
        >>> isinstance(get_family("sevennet"), MakesUntrained)
        True
    """

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
    """A family whose models can be restricted to some elements.

    Example:
        >>> if isinstance(model.family, RestrictsElements):
        ...     model = model.restrict_elements([14])
        >>> len(model.elements) in (1, 89)
        True
    """

    @abstractmethod
    def restrict_elements(self, model: Model, elements: Iterable[int]) -> Model:
        """Implement `Model.restrict_elements`."""


class ShortensCutoff(ABC):
    """A family that can shorten the cutoff of its models.

    Example:
        >>> isinstance(model.family, ShortensCutoff)
        True
    """

    @abstractmethod
    def shorten_cutoff(self, model: Model, cutoff: float) -> Model:
        """Return the closest model with a shorter cutoff in Å, which has been checked."""


class MergesExperts(ABC):
    """A family with mixtures of experts, each of which is one network for one composition.

    Example:
        >>> isinstance(model.family, MergesExperts)  # a SevenNet
        False
    """

    @abstractmethod
    def merge_experts(
        self,
        source: str | Path,
        formula: str,
        *,
        modal: str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Model:
        """Load a mixture of experts as the one network that it is for a composition.

        Args:
            source: path of the checkpoint.
            formula: composition, such as ``SiO2``.
            modal: level of theory or task.
            dtype: floating-point type of the parameters.

        Raises:
            UserError: if the file or the formula cannot be read, or there are no experts.
        """


def make_untrained(
    family: Family,
    settings: Mapping[str, Any],
    data: DataStatistics,
    *,
    seed: int,
    modal: str | None = None,
) -> Model:
    """Return a model with random float32 weights, for training from scratch.

    Args:
        family: the family.
        settings: settings of the architecture, by their names in the family's own configuration;
            the defaults give a small model.
        data: statistics of the training data. The model knows its elements; reference energies,
            scale and mean number of neighbours are set if the family has them.
        seed: seed for the weights.
        modal: name of the level of theory, for families whose files name even a single one.

    Raises:
        UserError: if a setting is unknown or invalid, or the family does not support this.
    """
    if not isinstance(family, MakesUntrained):
        raise UserError(
            f"untrained: the family {family.name!r} cannot build models from settings; give a "
            "checkpoint instead"
        )
    return family.untrained(settings, data, seed=seed, modal=modal)
