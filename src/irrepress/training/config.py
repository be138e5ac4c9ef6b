"""Settings for training."""

from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator, model_validator

from irrepress.core.loss_weights import LossWeights, UsedWeights
from irrepress.core.parameter_roles import ParameterRole
from irrepress.core.section import (
    EACH_ONCE,
    ChosenTimeStep,
    Count,
    Force,
    Fraction,
    Integer,
    Minutes,
    Number,
    RelativeRate,
    RunStrain,
    Section,
    SupercellSize,
    Temperature,
    Text,
    Weight,
)

# Settings that change where and how fast training runs, but not its result.
OF_THE_MACHINE = frozenset({"workers", "devices", "nodes", "checkpoint_minutes"})


Precision = Literal["32", "64", "16-mixed", "bf16-mixed"]


class Training(Section):
    """Settings for one training run.

    Example:
        >>> Training(steps=100, batch_size=4, devices=2).ranks
        2
    """

    dataset: str | None = Field(None, description="Dataset; null if the workflow provides it.")
    steps: Count = 2000
    batch_size: Count = Field(8, description="Maximum number of structures per batch.")
    max_atoms: Count | None = Field(
        None, description="Maximum number of atoms per batch; null: no limit."
    )
    max_edges: Count | None = Field(
        None,
        description="Maximum number of edges per batch, which memory use is proportional to; null: "
        "no limit. Edges are counted before training.",
    )
    optimizer: Literal["adamw", "soap"] = Field(
        "adamw",
        description="soap turns weight matrices into their eigenbases first: it needs fewer steps, "
        "takes larger learning rates, and costs a little more time a step.",
    )
    learning_rate: Number = Field(
        1e-3, ge=1e-10, le=1, description="Peak learning rate, after the warmup."
    )
    warmup: Number = Field(0.05, ge=0, lt=1, description="Fraction of the steps.")
    relative_rates: dict[ParameterRole, RelativeRate] = Field(
        default={},
        description="Learning rates of parts of the network relative to learning_rate, such as "
        "{radial: 0.1}; 0 freezes a part, and parts that are not listed use "
        "learning_rate.",
    )
    final_learning_rate: Number = Field(
        0.01,
        ge=0,
        le=1,
        description="Learning rate at the end of the cosine decay, relative to the peak.",
    )
    weight_decay: Number = Field(0.0, ge=0, le=100)
    clip: Number = Field(10.0, ge=1e-6, le=1e9, description="Maximum norm of the gradient.")
    ema: Number = Field(
        0.99, ge=0, lt=1, description="Decay of the moving average of the weights; 0: no average."
    )
    validate_every: Count = Field(200, description="Number of steps between validations.")
    patience: Count | None = Field(
        None, description="Stop after this many validations without improvement."
    )
    precision: Precision = "32"
    bits: Literal[4, 8] | None = Field(
        None,
        description="Train with weights as quantization to so many bits rounds them, so that it "
        "costs little accuracy afterwards; null: as they are.",
    )
    large_forces: Force | None = Field(
        None,
        description="Force in eV/Å from which on the errors of an atom, and of the energy and the "
        "stress of its structure, count relative to the largest force there: what is far from "
        "equilibrium then does not outweigh the rest. null: all count alike.",
    )
    workers: Integer = Field(0, ge=0, le=1024, description="Number of processes that build graphs.")
    devices: Integer = Field(
        1,
        ge=1,
        le=1024,
        description="Number of GPUs per node (or of processes, on CPUs) that share each batch. "
        "Except for round-off, the result does not depend on it, unless max_atoms or "
        "max_edges are set, which are limits per device.",
    )
    nodes: Integer = Field(
        1, ge=1, le=10_000, description="Number of nodes with this many devices each, under SLURM."
    )
    checkpoint_minutes: Number = Field(
        10.0,
        gt=0,
        le=1e6,
        description="Minutes between checkpoints; every validation writes one as well.",
    )
    weights: UsedWeights = LossWeights()

    @model_validator(mode="after")
    def _decay_leaves_weights(self) -> "Training":
        # Both optimizers multiply weights by 1 - learning_rate * weight_decay in each step.
        if self.learning_rate * self.weight_decay >= 1:
            raise ValueError(
                f"weight_decay {self.weight_decay:g} removes all weights in one step of the "
                f"learning_rate {self.learning_rate:g}; lower it"
            )
        return self

    @property
    def ranks(self) -> int:
        """The number of processes that train together."""
        return self.devices * self.nodes

    @model_validator(mode="after")
    def _shared_evenly(self) -> "Training":
        if self.batch_size % self.ranks:
            raise ValueError(
                f"batch_size {self.batch_size} cannot be divided evenly among {self.ranks} devices "
                "(devices × nodes); use a multiple"
            )
        return self

    @field_validator("relative_rates")
    @classmethod
    def _some_part_learns(cls, rates: dict[ParameterRole, float]) -> dict[ParameterRole, float]:
        if len(rates) == len(get_args(ParameterRole)) and not any(rates.values()):
            raise ValueError(
                "all parts have the rate 0, so nothing would be trained; leave one out or raise it"
            )
        return rates


# Displacement of every coordinate in Å for the changes of forces that stand for the Hessian: large
# against the round-off of float32 forces, small against a bond.
DISPLACEMENT = 0.01


class Distillation(Training):
    """Settings for training on the parent's energies, forces and stress.

    Example:
        >>> Distillation(steps=100, features=0.5).label_fraction
        0.0
    """

    label_fraction: Number = Field(
        0.0,
        ge=0,
        le=1,
        description="Weight of the dataset's own labels; the rest is the weight of the parent's.",
    )
    features: Weight = Field(
        0.0,
        description="Weight of the squared difference between the features of all layers and the "
        "parent's, relative to their size; if set, the parent runs during training.",
    )
    atomic_energies: Weight = Field(
        0.0,
        description="Weight of the differences between the energies of single atoms and the "
        "parent's, in eV; the parent computes them once, before training.",
    )
    hessian_rows: Integer = Field(
        0,
        ge=0,
        le=100,
        description="Number of random directions per structure along which the curvature of the "
        "energy is compared with the parent's: the change of all forces when every coordinate "
        f"moves by {DISPLACEMENT:g} Å. The parent computes them once, before training; a step "
        "compares one of them and takes twice as long.",
    )
    hessian_weight: Weight = Field(
        0.1, description="Weight of the differences of hessian_rows, in eV/Å^2."
    )

    @model_validator(mode="after")
    def _hessian_has_a_parent(self) -> "Distillation":
        if self.hessian_rows and not self.hessian_weight:
            raise ValueError(
                "hessian_rows has no effect with hessian_weight 0; raise hessian_weight, or leave "
                "hessian_rows out"
            )
        if self.hessian_rows and self.label_fraction == 1:
            raise ValueError(
                "hessian_rows needs the forces of the parent, which are not used with "
                "label_fraction 1; lower label_fraction"
            )
        return self

    @property
    def has_targets(self) -> bool:
        """Whether there are targets that the parent computes once, before training."""
        return self.atomic_energies > 0 or self.hessian_rows > 0


class Refinement(Distillation):
    """Settings for rounds of dynamics of the compressed model and training on what it gets wrong.

    Example:
        >>> Refinement(of="cell", temperatures=[300, 900]).rounds
        3
    """

    of: Text = Field(description="Dataset of the structures that dynamics start from.")
    temperatures: Annotated[list[Temperature], EACH_ONCE] = Field(
        min_length=1, description="Temperatures of the dynamics in K; runs take them in turn."
    )
    rounds: Count = Field(3, le=100, description="Maximum number of trainings.")
    runs: Count = Field(8, le=10_000, description="Number of short runs of dynamics per round.")
    frames: Count = Field(
        32,
        le=10**6,
        description="Maximum number of frames to add per round: of twice as many, those whose "
        "forces are farthest from the parent's.",
    )
    threshold: Number = Field(
        0.01,
        ge=0,
        le=10,
        description="Frames whose forces are off by less, relative to the parent's, are not added. "
        "Without any others, refinement ends.",
    )
    held_out: Fraction = Field(
        0.2, description="Fraction of a round's runs whose frames join the valid split."
    )
    timestep: ChosenTimeStep = None
    dynamics_steps: Count = Field(250, le=10**8, description="Time steps of a run.")
    atoms: SupercellSize = 64
    strain: RunStrain = 0.02
    minutes: Minutes | None = Field(
        None,
        description="No round begins that would take longer than this in all, as far as the last "
        "round tells; null: no limit.",
    )
    steps: Count = Field(500, description="Optimizer steps of each round.")
    learning_rate: Number = Field(
        5e-4, ge=1e-10, le=1, description="Peak learning rate, after the warmup."
    )

    @model_validator(mode="after")
    def _of_the_parent_alone(self) -> "Refinement":
        if self.label_fraction:
            raise ValueError(
                "label_fraction: frames of dynamics have the labels of the parent alone; set it "
                "to 0"
            )
        if self.ranks > 1:
            raise ValueError("devices: refinement runs on one device; set devices and nodes to 1")
        if self.runs < max(2, len(self.temperatures)):
            raise ValueError(
                f"runs: {self.runs} are too few to hold one out and for "
                f"{len(self.temperatures)} temperatures; raise runs"
            )
        return self
