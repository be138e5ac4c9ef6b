"""Settings of trainings of any kind."""

from typing import Literal, get_args

from pydantic import Field, field_validator, model_validator

from irrepress.core.loss_weights import LossWeights, UsedWeights
from irrepress.core.parameter_roles import ParameterRole
from irrepress.core.section import Count, Integer, Number, RelativeRate, Section, Weight

# Settings of a training that change where and how fast it runs, not what comes out.
OF_THE_MACHINE = frozenset({"workers", "devices", "nodes", "checkpoint_minutes"})


Precision = Literal["32", "64", "16-mixed", "bf16-mixed"]


class Training(Section):
    """One run of the trainer."""

    dataset: str | None = Field(None, description="Dataset; null where the rule provides it.")
    steps: Count = 2000
    batch_size: Count = Field(8, description="Largest number of structures in a batch.")
    max_atoms: Count | None = Field(
        None, description="Largest number of atoms in a batch; null: no limit."
    )
    max_edges: Count | None = Field(
        None,
        description="Largest number of edges in a batch, which its memory grows with; null: no "
        "limit. Edges are counted before training.",
    )
    learning_rate: Number = Field(
        1e-3, ge=1e-10, le=1, description="Of AdamW, at the peak after the warmup."
    )
    warmup: Number = Field(0.05, ge=0, lt=1, description="Share of the steps.")
    relative_rates: dict[ParameterRole, RelativeRate] = Field(
        default={},
        description="Learning rate of a part of the network relative to learning_rate, such as "
        "{radial: 0.1}; 0 leaves it as it is, absent parts learn at learning_rate.",
    )
    final_learning_rate: Number = Field(
        0.01, ge=0, le=1, description="At the end of the cosine decay, relative to the peak."
    )
    weight_decay: Number = Field(0.0, ge=0, le=100)
    clip: Number = Field(10.0, ge=1e-6, le=1e9, description="Largest norm of the gradient.")
    ema: Number = Field(0.99, ge=0, lt=1, description="Decay of the averaged weights; 0: none.")
    validate_every: Count = Field(200, description="Steps between validations.")
    patience: Count | None = Field(
        None, description="Stop after so many validations without improvement."
    )
    precision: Precision = "32"
    workers: Integer = Field(0, ge=0, le=1024, description="Processes that build graphs.")
    devices: Integer = Field(
        1,
        ge=1,
        le=1024,
        description="GPUs of a node (or processes, on the CPU) that share each batch. The result "
        "does not depend on their number, but for round-off, unless max_atoms or max_edges are "
        "set, which are limits for each device.",
    )
    nodes: Integer = Field(
        1, ge=1, le=10_000, description="Nodes with so many devices each, under SLURM."
    )
    checkpoint_minutes: Number = Field(
        10.0,
        gt=0,
        le=1e6,
        description="Time between checkpoints; every validation writes one, too.",
    )
    weights: UsedWeights = LossWeights()

    @model_validator(mode="after")
    def _decay_leaves_weights(self) -> "Training":
        # AdamW multiplies weights by 1 - learning_rate * weight_decay in each step.
        if self.learning_rate * self.weight_decay >= 1:
            raise ValueError(
                f"weight_decay {self.weight_decay:g} removes all weights in one step of the "
                f"learning_rate {self.learning_rate:g}; lower it"
            )
        return self

    @property
    def ranks(self) -> int:
        """Processes that train together."""
        return self.devices * self.nodes

    @model_validator(mode="after")
    def _shared_evenly(self) -> "Training":
        if self.batch_size % self.ranks:
            raise ValueError(
                f"batch_size {self.batch_size} cannot be shared evenly by {self.ranks} devices "
                "(devices × nodes); take a multiple"
            )
        return self

    @field_validator("relative_rates")
    @classmethod
    def _some_part_learns(cls, rates: dict[ParameterRole, float]) -> dict[ParameterRole, float]:
        if len(rates) == len(get_args(ParameterRole)) and not any(rates.values()):
            raise ValueError("all parts have the rate 0, so that nothing would be trained")
        return rates


class Distillation(Training):
    """Training on the parent's energies, forces and stress."""

    label_fraction: Number = Field(
        0.0, ge=0, le=1, description="Weight of the dataset's own labels beside the parent's."
    )
    features: Weight = Field(
        0.0,
        description="Weight of how far the features of all layers are from the parent's, relative "
        "to their size; the parent then runs beside the training.",
    )
