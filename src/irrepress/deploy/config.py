"""Settings of deployments."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from irrepress.core.section import EACH_ONCE, Count, Number, Section

TargetName = Literal["native", "torchscript", "lammps", "mliap", "symmetrix", "torch-sim"]
# Families whose models a target may take.
FAMILIES: Mapping[TargetName, Sequence[str]] = {
    "native": ("escn", "mace", "sevennet"),
    "torchscript": ("mace", "sevennet"),
    "lammps": ("mace", "sevennet"),
    "mliap": ("mace", "sevennet"),
    "symmetrix": ("mace",),
    "torch-sim": ("mace", "sevennet"),
}


class TimeLimits(Section):
    """Limits of the times that stand beside a deployment.

    Example:
        >>> TimeLimits(largest=1000).minutes
        5
    """

    largest: Count = Field(10_000, description="Largest number of atoms that is timed.")
    minutes: Number = Field(
        5,
        ge=0,
        le=1e6,
        description="Time limit for the times of one deployment and its parent; 0: none.",
    )


class DeploySettings(TimeLimits):
    """What is deployed of a model, and how it is checked.

    Example:
        >>> DeploySettings(targets=["native", "lammps"]).structures
        5
    """

    targets: Annotated[list[TargetName], EACH_ONCE, Field(min_length=1)] = Field(
        description="Runtimes: native, torchscript, lammps and mliap (SevenNet, MACE), symmetrix "
        "(MACE), torch-sim.",
    )
    structures: Count = Field(5, description="Largest number of golden structures.")
    own_form: bool = Field(
        False,
        description="TorchScript as the family's package writes it, where irrepress has a faster "
        "form (SevenNet).",
    )
    cuequivariance: bool = Field(
        False,
        description="Files for ML-IAP use cuEquivariance in place of e3nn: where the package is.",
    )

    @model_validator(mode="after")
    def _has_cuequivariance(self) -> Self:
        if self.cuequivariance and "mliap" not in self.targets:
            raise ValueError("cuequivariance is for the target mliap; leave it out")
        return self
