"""Settings of the measurements on every model of a study."""

from typing import Literal

from pydantic import Field

from irrepress.core.section import Count, Integer, Section


class Evaluation(Section):
    """Measurements on every model."""

    dataset: str
    batch_size: Count = 8
    align_energies: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Take out a constant per element between the energies of the labels and of "
        "the parent before errors against labels, as between two levels of theory. auto: only "
        "where it is beyond doubt, from 1 eV/atom on of which constants explain 90 %. What was "
        "done is in the log, metrics.json and the report.",
    )
    timing_atoms: Integer = Field(
        64, gt=0, le=100_000, description="Size of the crystal that is timed."
    )
    timing_repeats: Integer = Field(
        5,
        gt=0,
        le=100_000,
        description="Rounds of timing in turn with the parent, at least; up to four times as many "
        "are run until the ratio of times is known to 2 %.",
    )
