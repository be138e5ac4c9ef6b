"""Sections of the config that only a study has: what jobs ask for, and what follows training."""

from typing import Annotated, Literal

from pydantic import Field

from irrepress.core.section import EACH_ONCE, Count, NumberType, Section
from irrepress.study.stages import MadeBase
from irrepress.training.config import Training


class Cluster(Section):
    """What jobs ask of a cluster; accounts and partitions stand in ``profiles/slurm``."""

    gpu_type: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_.]+$",
        description="Type of the GPUs as the cluster calls it (sinfo -o %G), such as a100; null: "
        "any.",
    )
    max_minutes: Count = Field(
        1440,
        description="Longest time limit that a job asks for. A training that needs more saves "
        "itself and goes on in its next attempt.",
    )
    max_memory: Count | None = Field(
        None,
        description="Most memory that a job asks for, in MB: that of the nodes. What jobs ask for "
        "grows with every attempt, and SLURM refuses what no node has.",
    )


class Quantization(Section):
    """Weight-only quantization of path and radial weights."""

    bits: Literal[4, 8] = 8
    stages: Annotated[list[MadeBase], EACH_ONCE] = Field(["recovered"])


class Export(Section):
    """Models in another type of numbers: each is a stage with its own errors, time and checks."""

    dtypes: Annotated[list[NumberType], EACH_ONCE] = Field(["float32"], min_length=1)
    stages: Annotated[list[MadeBase], EACH_ONCE] = Field(["recovered"])


class Downstream(Section):
    """Fine-tuning of the compressed model on each dataset, beside baselines."""

    datasets: Annotated[list[str], EACH_ONCE] = Field([])
    stage: MadeBase = Field(
        "recovered", description="The stage of the compressed model that is fine-tuned."
    )
    baselines: Annotated[list[Literal["scratch", "parent", "restricted"]], EACH_ONCE] = Field(
        ["scratch", "parent", "restricted"],
        description="What the compressed model is compared with: the same shape trained from "
        "scratch, the uncompressed parent, fine-tuned, and the parent that is only restricted to "
        "the elements of the dataset, without any training.",
    )
    restrict_elements: bool = Field(
        True,
        description="Models are restricted to the elements of the dataset before they are "
        "trained, which loses nothing (where their family can leave elements out).",
    )
    training: Training = Training()
