"""Config sections for cluster resources and for the stages after training."""

from typing import Annotated, Literal

from pydantic import Field

from irrepress.core.section import EACH_ONCE, Count, NumberType, Section
from irrepress.deploy.config import DeploySettings
from irrepress.study.stages import MadeBase
from irrepress.training.config import Training


class Cluster(Section):
    """Resource limits on a cluster; accounts and partitions are set in ``profiles/slurm``.

    Example:
        >>> Cluster(gpu_type="a100").max_minutes
        1440
    """

    gpu_type: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_.]+$",
        description="GPU type as listed by the cluster (sinfo -o %G), such as a100; null: any.",
    )
    max_minutes: Count = Field(
        1440,
        description="Maximum time limit of a job. Training that needs more time saves a checkpoint "
        "and resumes in the next attempt.",
    )
    max_memory: Count | None = Field(
        None,
        description="Maximum memory of a job in MB, at most that of a node. Requests grow with "
        "every attempt, and SLURM rejects those that no node can satisfy.",
    )


class Quantization(Section):
    """Settings for weight-only quantization of path and radial weights.

    Example:
        >>> Quantization(bits=4).stages
        ['recovered']
    """

    bits: Literal[4, 8] = 8
    stages: Annotated[list[MadeBase], EACH_ONCE] = Field(["recovered"])


class Export(Section):
    """Settings for copies in other dtypes, which are stages with their own errors and times.

    Example:
        >>> Export(dtypes=["float64"]).stages
        ['recovered']
    """

    dtypes: Annotated[list[NumberType], EACH_ONCE] = Field(["float32"], min_length=1)
    stages: Annotated[list[MadeBase], EACH_ONCE] = Field(["recovered"])


class Deploy(DeploySettings):
    """Settings for deployments: which stages of the trained plans, for which runtimes.

    Example:
        >>> Deploy(targets=["native"]).stages
        ['recovered']
    """

    stages: Annotated[list[MadeBase], EACH_ONCE] = Field(["recovered"])
    dataset: str | None = Field(
        None,
        description="Dataset whose structures deployments are checked on, the first crystal of "
        "which is timed; null: structures of the model's elements are made.",
    )
    lammps: str | None = Field(
        None,
        description="Command of a LAMMPS with the pair style, for the targets lammps and mliap; "
        "null: lmp, if it has it. Without one the file is checked in torch, and not timed.",
    )


class Downstream(Section):
    """Settings for fine-tuning the compressed model on each dataset, with baselines.

    Example:
        >>> Downstream(datasets=["silicon"], baselines=["scratch"]).stage
        'recovered'
    """

    datasets: Annotated[list[str], EACH_ONCE] = Field([])
    stage: MadeBase = Field(
        "recovered", description="The stage of the compressed model to fine-tune."
    )
    baselines: Annotated[list[Literal["scratch", "parent", "restricted"]], EACH_ONCE] = Field(
        ["scratch", "parent", "restricted"],
        description="Baselines for the compressed model: the same shape trained from scratch, the "
        "fine-tuned parent, and the parent restricted to the elements of the dataset, "
        "without training.",
    )
    restrict_elements: bool = Field(
        True,
        description="Restrict models to the elements of the dataset before training, which is "
        "exact (if the family supports it).",
    )
    training: Training = Training()
