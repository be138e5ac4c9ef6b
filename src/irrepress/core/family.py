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
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import torch
from ase.calculators.calculator import Calculator
from torch import Tensor

from irrepress.core.cost import CostModel, CostTerms
from irrepress.core.errors import UserError
from irrepress.core.groups import Group
from irrepress.core.layers import evenly
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
        >>> block.of(torch.arange(1024)).shape
        torch.Size([16, 32])
    """

    parameter: str
    start: int
    shape: tuple[int, int]
    transposed: bool = False

    def of(self, flat: Tensor) -> Tensor:
        """Return the matrix, a view of the flattened parameter."""
        rows, columns = self.shape
        part = flat[self.start : self.start + rows * columns]
        return part.view(columns, rows).T if self.transposed else part.view(rows, columns)


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
        """Remove the blocks that a plan does not keep, and nothing else; see `Model.narrow`."""

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


class DropsLayers(ABC):
    """A family that can build its models with fewer message-passing layers.

    Example:
        >>> isinstance(model.family, DropsLayers)
        True
    """

    def layers_to_keep(self, model: Model, count: int) -> tuple[int, ...]:
        """Return which of a model's layers to keep where only their number is given.

        The first layer, which reads the embedding of the elements, and the last one stay, and the
        others are spread evenly between them; of a single layer, the last.
        """
        return evenly(model.layers, count)

    def needed_layers(self, model: Model, layers: Sequence[int]) -> dict[int, str]:
        """Return the layers that must be among those to keep -> what needs them.

        Args:
            model: the model.
            layers: the layers to keep, which are not checked yet.

        Returns:
            Index of a layer -> a relative clause, such as "which the readout follows". By default
            that is the last layer.
        """
        return {model.layers - 1: "which the readout follows"}

    @abstractmethod
    def drop_layers(self, model: Model, layers: Sequence[int]) -> Model:
        """Return the model with some of its layers alone, which have been checked.

        Weights are copied and not yet fitted to each other. Where the features that leave one
        layer have other irreps than those that enter the next, the common channels stay.
        """

    @abstractmethod
    def groups_with_layers(self, model: Model, layers: Sequence[int]) -> dict[str, str]:
        """Return group of the model with some of its layers alone -> group of the model.

        What the blocks of both are is the same to those who read them: the features that enter a
        layer that is kept. The model may have more channels; the first ones stay.
        """


class Evaluator(Protocol):
    """Code for single structures on a CPU, with the weights that a model had when it was made.

    Example:
        >>> evaluate: Evaluator = model.family.evaluator(model)
        >>> evaluate(structures[0]).forces.shape, evaluate.features(structures[0]).shape
        (torch.Size([2, 3]), torch.Size([2, 128]))
    """

    def __call__(self, structure: Structure) -> Prediction:
        """Return what the model predicts of a structure, as a batch of it alone."""

    def features(self, structure: Structure) -> Tensor:
        """Return the features that the model's last layer gives to atoms, if they are invariant.

        Shape ``[atoms, channels]``. They take a part of the time of a prediction.
        """


class EvaluatesFaster(ABC):
    """A family that has faster code for single structures on a CPU than for batches.

    Example:
        >>> isinstance(model.family, EvaluatesFaster)
        True
    """

    @abstractmethod
    def evaluator(self, model: Model) -> Evaluator:
        """Return code that predicts what the model predicts, up to round-off.

        It runs on the CPU and gives no gradients.

        Raises:
            UserError: the model has parts that this code does not know.
        """


class LearnsFaster(ABC):
    """A family that has faster code on a CPU for what losses are made of.

    Example:
        >>> isinstance(model.family, LearnsFaster)
        True
    """

    @abstractmethod
    def predict_for_loss(self, model: Model, batch: Batch) -> Prediction | None:
        """Implement `Model.predict_for_loss` on a CPU.

        Returns:
            The prediction; None: this code does not know parts of the model, or what else is asked
            for, such as gates or mixed precision.
        """


class WritesFastTorchScript(ABC):
    """A family that can write its models as TorchScript that is faster than its package's own.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     model.family.write_torchscript(model, Path(folder) / "model.pt")
        ...     (Path(folder) / "model.pt").exists()
        True
    """

    @abstractmethod
    def write_torchscript(self, model: Model, path: Path) -> None:
        """Write a file that runs wherever the TorchScript of the family's package runs.

        It gives the same results up to round-off, in the model's type, and first derivatives of
        the energy alone. Files for several processes that share one structure are not offered: the
        package's own tools make them of a saved model. A model of several levels of theory is
        written for the one that it was loaded with.

        Args:
            model: the model.
            path: the file, which is written atomically.

        Raises:
            UserError: the model has parts that such a file cannot hold.
        """


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


class WritesTorchScript(ABC):
    """A family whose package writes models as TorchScript, for LAMMPS and for use without it.

    Example:
        >>> isinstance(model.family, WritesTorchScript)
        True
    """

    @abstractmethod
    def write_own_torchscript(self, model: Model, path: Path) -> None:
        """Write the file that the family's package makes of a model for its pair style of LAMMPS.

        Args:
            model: the model; its weights are written in its own type where the package can.
            path: the file.

        Raises:
            UserError: the package cannot write this model.
        """


class WritesMLIAP(ABC):
    """A family whose package writes models for the ML-IAP package of LAMMPS.

    Example:
        >>> isinstance(model.family, WritesMLIAP)
        True
    """

    @abstractmethod
    def mliap_refusals(self, model: Model, *, cuequivariance: bool) -> list[str]:
        """Return what the family's package does not take of a model, or on this machine.

        Args:
            model: the model.
            cuequivariance: whether the file is to use cuEquivariance.
        """

    @abstractmethod
    def write_mliap(self, model: Model, path: Path, *, cuequivariance: bool) -> None:
        """Write the Python object that ``pair_style mliap unified`` loads.

        Args:
            model: the model; its weights are written in its own type where the package can.
            path: the file.
            cuequivariance: whether the file uses cuEquivariance in place of e3nn.

        Raises:
            UserError: the package cannot write this model.
        """

    @abstractmethod
    def mliap_notes(self, *, cuequivariance: bool) -> list[str]:
        """Return what is to be known of a file that is written on this machine."""


class WritesSymmetrix(ABC):
    """A family whose models symmetrix evaluates, if their architecture is one that it takes.

    Example:
        >>> isinstance(model.family, WritesSymmetrix)  # a SevenNet
        False
    """

    @abstractmethod
    def symmetrix_refusals(self, model: Model) -> list[str]:
        """Return what of a model's architecture symmetrix does not take; empty if it takes it."""

    @abstractmethod
    def symmetrix_groups(self, groups: Sequence[Group]) -> list[Group]:
        """Return the groups of a model that symmetrix takes, restricted so that it stays so.

        What has to stay has a floor, and what has to be as wide as features follows them.
        """

    @abstractmethod
    def write_symmetrix(self, model: Model, path: Path) -> None:
        """Write a model as symmetrix's JSON.

        Raises:
            UserError: symmetrix does not take the model.
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
