"""Settings for measurements on every model of a study."""

from typing import Literal

from pydantic import Field

from irrepress.core.section import Count, Integer, Section


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
