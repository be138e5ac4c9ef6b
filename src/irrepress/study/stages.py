"""The stages after training, and how all of them are judged."""

from typing import Annotated, Literal

from pydantic import Field

from irrepress.core.section import EACH_ONCE, NumberType, Section
from irrepress.training.config import Training

Stage = Literal["pruned", "compensated", "recovered", "distilled"]


class Quantization(Section):
    """Weight-only quantization of path and radial weights."""

    bits: Literal[4, 8] = 8
    stages: Annotated[list[Stage], EACH_ONCE] = Field(["recovered"])


class Export(Section):
    """Models in another type of numbers: each is a stage with its own errors, time and checks."""

    dtypes: Annotated[list[NumberType], EACH_ONCE] = Field(["float32"], min_length=1)
    stages: Annotated[list[Stage], EACH_ONCE] = Field(["recovered"])


class Downstream(Section):
    """Fine-tuning of the compressed model on each dataset, beside baselines."""

    datasets: Annotated[list[str], EACH_ONCE] = Field([])
    stage: Stage = Field(
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
