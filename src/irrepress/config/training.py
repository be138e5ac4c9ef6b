"""Training of any kind: what is minimised, for how long, and on what machine."""

from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator, model_validator

from irrepress.config.section import Section

# What parameters do in a network: see `Family.parameter_parts`.
Part = Literal["embedding", "linear", "radial", "readout"]
# Settings of a training that change where and how fast it runs, not what comes out.
OF_THE_MACHINE = frozenset({"workers", "devices", "nodes", "checkpoint_minutes"})


class LossWeights(Section):
    """Weights of the Huber losses of energy per atom, forces and stress."""

    energy: float = Field(1.0, ge=0)
    forces: float = Field(1.0, ge=0)
    stress: float = Field(
        0.1, ge=0, description="0.1 for GPa is what SevenNet was trained with (0.01 for kbar)."
    )
    huber_delta: float = Field(
        0.01,
        gt=0,
        description="Where the loss turns from quadratic to linear, in eV/atom, eV/Å and GPa.",
    )


class Training(Section):
    """One run of the trainer."""

    dataset: str | None = Field(None, description="Dataset; null where the rule provides it.")
    steps: int = Field(2000, gt=0)
    batch_size: int = Field(8, gt=0, description="Largest number of structures in a batch.")
    max_atoms: int | None = Field(
        None, gt=0, description="Largest number of atoms in a batch; null: no limit."
    )
    max_edges: int | None = Field(
        None,
        gt=0,
        description="Largest number of edges in a batch, which its memory grows with; null: no "
        "limit. Edges are counted before training.",
    )
    learning_rate: float = Field(1e-3, gt=0)
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of the steps.")
    relative_rates: dict[Part, Annotated[float, Field(ge=0)]] = Field(
        default={},
        description="Learning rate of a part of the network relative to learning_rate, such as "
        "{radial: 0.1}; 0 leaves it as it is, absent parts learn at learning_rate.",
    )
    final_learning_rate: float = Field(
        0.01, ge=0, le=1, description="At the end of the cosine decay, relative to the peak."
    )
    weight_decay: float = Field(0.0, ge=0)
    clip: float = Field(10.0, gt=0, description="Largest norm of the gradient.")
    ema: float = Field(0.99, ge=0, lt=1, description="Decay of the averaged weights; 0: none.")
    validate_every: int = Field(200, gt=0, description="Steps between validations.")
    patience: int | None = Field(
        None, gt=0, description="Stop after so many validations without improvement."
    )
    precision: Literal["32", "64", "16-mixed", "bf16-mixed"] = "32"
    workers: int = Field(0, ge=0, description="Processes that build graphs.")
    devices: int = Field(
        1,
        ge=1,
        description="GPUs of a node (or processes, on the CPU) that share each batch. The result "
        "does not depend on their number, but for round-off, unless max_atoms or max_edges are "
        "set, which are limits for each device.",
    )
    nodes: int = Field(1, ge=1, description="Nodes with so many devices each, under SLURM.")
    checkpoint_minutes: float = Field(
        10.0, gt=0, description="Time between checkpoints; every validation writes one, too."
    )
    weights: LossWeights = LossWeights()

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
    def _some_part_learns(cls, rates: dict[Part, float]) -> dict[Part, float]:
        if len(rates) == len(get_args(Part)) and not any(rates.values()):
            raise ValueError("all parts have the rate 0, so that nothing would be trained")
        return rates


class Distillation(Training):
    """Training on the parent's energies, forces and stress."""

    label_fraction: float = Field(
        0.0, ge=0, le=1, description="Weight of the dataset's own labels beside the parent's."
    )
    features: float = Field(
        0.0,
        ge=0,
        description="Weight of how far the features of all layers are from the parent's, relative "
        "to their size; the parent then runs beside the training.",
    )
