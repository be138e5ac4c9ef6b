"""Settings for measurements on every model of a study."""

from typing import Annotated, Literal

from pydantic import Field

from irrepress.core.section import EACH_ONCE, Count, Integer, Name, Number, Section, SupercellSize


class Dynamics(Section):
    """Molecular dynamics with the models that a study ends at, beside their parents.

    A structure is run at constant energy (NVE), by the family's own calculator on the saved file.

    Example:
        >>> Dynamics(datasets=["silicon"]).atoms
        64
    """

    datasets: Annotated[list[Name], EACH_ONCE] = Field(
        min_length=1,
        description="Datasets, of the test part of each of which the structure with the smallest "
        "forces is run. On a downstream dataset the models fine-tuned on it are run, otherwise the "
        "last stage of the trained plans.",
    )
    atoms: SupercellSize = 64
    temperature: Number = Field(
        300.0, gt=0, le=10_000, description="Of the thermostat before the run, in K."
    )
    timestep: Number = Field(1.0, gt=0, le=20, description="In fs.")
    steps: Integer = Field(
        1000,
        ge=100,
        le=10**8,
        description="At constant energy; a short run tells little of a drift.",
    )
    equilibration: Integer = Field(
        200,
        ge=0,
        le=10**8,
        description="Steps with the thermostat before them, which take up what a start out of "
        "equilibrium holds.",
    )


class Evaluation(Section):
    """Settings for measurements on every model.

    Example:
        >>> Evaluation(dataset="silicon").timing_atoms
        64
    """

    dataset: str
    batch_size: Count = 8
    align_energies: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Whether to subtract constants per element between the energies of the labels "
        "and of the parent before computing errors, for labels from another level of "
        "theory. auto: only if beyond doubt, that is, if energies differ by at least 1 "
        "eV/atom and constants explain 90 % of it. The log, metrics.json and the "
        "report state what was done.",
    )
    timing_atoms: Integer = Field(
        64, gt=0, le=100_000, description="Number of atoms in the crystal used for timing."
    )
    timing_repeats: Integer = Field(
        5,
        gt=0,
        le=100_000,
        description="Minimum number of timing rounds, each in turn with the parent; up to four "
        "times as many are run until the ratio of times is known to 2 %.",
    )
    dynamics: Dynamics | None = Field(None, description="null: no molecular dynamics is run.")
