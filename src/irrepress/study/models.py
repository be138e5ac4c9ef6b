"""The models of a study: checkpoints, or architectures that it trains from scratch."""

import math
import re
from typing import Any

from pydantic import Field, field_validator, model_validator

from irrepress.catalogue.model_ref import ModelRef
from irrepress.core.section import Name, PathText
from irrepress.training.config import Training

# YAML 1.1 reads numbers with an exponent as strings unless they have a point and a sign: 1.0e-3.
_EXPONENT = re.compile(r"[+-]?[0-9]+\.?[0-9]*[eE][+-]?[0-9]{1,3}")


class StudyModel(ModelRef):
    """A model of a study: a checkpoint, or an architecture to train from scratch.

    Example:
        >>> training = Training(dataset="silicon", steps=100)
        >>> StudyModel(family="escn", untrained={"lmax": 2}, training=training).compress
        True
    """

    checkpoint: PathText | None = Field(  # type: ignore[assignment]  # required in other references
        None, description="Keyword of the family (such as 7net-0) or path of a file."
    )
    untrained: dict[str, Any] | None = Field(
        None,
        description="Instead of a checkpoint, settings of an architecture by the family's own "
        "names, such as {sphere_channels: 64, lmax: 3}; {} is a small model of the "
        "family. It is initialised randomly and trained as set in training; elements, "
        "reference energies and scale are taken from the data.",
    )
    training: Training | None = Field(
        None,
        description="Training of the untrained model to become the parent; dataset is required.",
    )
    restrict_to: Name | None = Field(
        None,
        description="Dataset whose elements the model is restricted to. This is exact for these "
        "elements and makes models of many elements much smaller. null: no "
        "restriction.",
    )
    compress: bool = Field(
        True,
        description="false: the model is only evaluated, for comparison, such as a smaller "
        "official model.",
    )

    @field_validator("untrained")
    @classmethod
    def _plain_numbers(cls, settings: dict[str, Any] | None) -> dict[str, Any] | None:
        for name, value in (settings or {}).items():
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, str) and _EXPONENT.fullmatch(each):
                    raise ValueError(
                        f"{name}: YAML reads {each} as a string; write {float(each)!r}"
                    )
                if isinstance(each, float) and not math.isfinite(each):
                    raise ValueError(f"{name}: it should be a finite number (got {each})")
        return settings

    @model_validator(mode="after")
    def _one_origin(self) -> "StudyModel":
        if (self.checkpoint is None) == (self.untrained is None):
            raise ValueError("give either a checkpoint or, to train from scratch, untrained: {...}")
        if (self.untrained is None) != (self.training is None):
            raise ValueError("untrained and training belong together; give both or neither")
        if self.untrained is not None and self.sha256 is not None:
            raise ValueError("sha256 only applies to a checkpoint; remove it")
        if self.untrained is not None and self.restrict_to is not None:
            raise ValueError(
                "restrict_to: an untrained model has the elements of the data it is trained on; "
                "leave it out"
            )
        return self
