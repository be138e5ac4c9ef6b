"""Scores, the sweep of plans, and compensation."""

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from irrepress.core.loss_weights import LossWeights, UsedWeights
from irrepress.core.section import (
    EACH_ONCE,
    Count,
    Fraction,
    Integer,
    LayerChoice,
    Name,
    Number,
    Radius,
    Section,
    Weight,
)
from irrepress.core.target import Explicit

Criterion = Literal["taylor", "fisher", "hessian", "magnitude", "activation", "random"]
Normalization = Literal["auto", "none", "group", "layer", "order"]
Unit = Literal["blocks", "parameters", "flops", "time"]
Axes = Literal["both", "channels"]
# What time is measured in; each is a target that models are deployed for.
Runtime = Literal["native", "torchscript", "symmetrix"]
Allocation = Literal["greedy", "uniform", "iterated", "measured"]


class Scoring(Section):
    """Settings for importance scores, which are computed once for all criteria and budgets.

    Example:
        >>> Scoring(dataset="silicon", structures=32).batch_size
        8
    """

    dataset: str
    structures: Count = Field(64, description="Calibration structures from the train split.")
    batch_size: Count = 8
    probes: Integer = Field(
        1,
        gt=0,
        le=10_000,
        description="Random vectors per batch for the curvature in the criterion hessian.",
    )
    weights: UsedWeights = LossWeights()


class Sweep(Section):
    """The plans to make: all combinations of the lists' entries, and explicit ones.

    Example:
        >>> Sweep(criteria=["taylor"], budgets=[0.5]).scored()
        ['taylor', 'magnitude', 'random']
    """

    criteria: Annotated[list[Criterion], EACH_ONCE] = Field(["taylor", "magnitude"], min_length=1)
    normalization: Normalization = Field(
        "auto",
        description="Scores are divided by their mean over the group (site and irrep), the layer "
        "or the order before blocks compete; auto: group for magnitude and activation, which "
        "have no scale that sites share, and none for the others.",
    )
    budgets: Annotated[list[Fraction], EACH_ONCE] = Field(
        [0.75, 0.5, 0.25], description="Fraction to keep."
    )
    unit: Unit = Field(
        "flops",
        description="The quantity that budgets limit; time: the time of energy, forces and stress "
        "on this machine, predicted from shapes of the model that are timed on it.",
    )
    runtime: Runtime = Field(
        "native",
        exclude_if=lambda runtime: runtime == "native",
        description="What the unit time is measured in. native: the family's own code, neighbours "
        "given; torchscript (SevenNet, MACE) and symmetrix (MACE): the deployed runtime as ASE "
        "calls it, with the search for neighbours. Parent and plans are timed in the same one. "
        "symmetrix implies deployable: symmetrix.",
    )
    timed_shapes: Integer = Field(
        36,
        ge=12,
        le=10_000,
        description="Number of shapes that are timed for the unit time, including the parent.",
    )
    axes: Annotated[list[Axes], EACH_ONCE] = Field(
        ["both", "channels"], min_length=1, description="With and without pruning of orders."
    )
    allocations: Annotated[list[Allocation], EACH_ONCE] = Field(
        ["greedy"],
        min_length=1,
        description="How a budget is spread over layers and orders. greedy: the least score lost "
        "per cost saved; uniform: the same fraction of every width, orders kept; "
        "iterated: greedy in small steps, with new scores after each; measured: in "
        "steps, each the best of several removals tried on the calibration structures, "
        "where scores only choose the channels.",
    )
    cutoffs: Annotated[list[Radius | None], EACH_ONCE] = Field(
        [None],
        min_length=1,
        description="Cutoff radii in Å; every budget is planned with each of them. null: the "
        "model's own. Time and FLOPs scale with the cube of the radius, so a shorter "
        "one leaves more of the budget for blocks.",
    )
    layers: Annotated[list[LayerChoice | None], EACH_ONCE] = Field(
        [None],
        min_length=1,
        description="Message-passing layers to keep; every budget is planned with each of them. "
        "A number: the first and the last stay, and the others are spread evenly; 1: the last, of "
        "MACE the first. A list: those of the parent, counted from 0. auto: as many as leave a "
        "twelfth of their cost to the budget, at least two. null: all. Compensation and training "
        "must make up for those that go. Only with the allocations greedy and uniform.",
    )
    step: Fraction = Field(
        0.1,
        description="Fraction of what is left that each step of iterated or measured removes.",
    )
    explicit: dict[Name, Explicit] = Field({}, description="Plans by name, with target irreps.")
    multiple: Integer = Field(
        8, gt=0, le=10_000, description="Keep multiples of this many channels."
    )
    floor: Integer = Field(
        8, ge=1, le=10_000, description="Keep at least this many channels of scalars."
    )

    deployable: Literal["symmetrix"] | None = Field(
        None,
        exclude_if=lambda deployable: deployable is None,
        description="A runtime that takes only some architectures: plans keep what it needs, and "
        "one that cannot is refused with the nearest that can. symmetrix takes MACE models of two "
        "layers with max_ell 3 and correlation 3, whose messages are as wide as their features. "
        "Only with the allocations greedy and uniform.",
    )

    @model_validator(mode="after")
    def _deployable_in_one_go(self) -> "Sweep":
        in_rounds = [each for each in self.allocations if each in ("iterated", "measured")]
        if in_rounds and self.kept_to is not None:
            said = "deployable" if self.deployable else f"runtime: {self.runtime}"
            raise ValueError(
                f"{said} cannot go with the allocation {in_rounds[0]!r}; take greedy or uniform"
            )
        return self

    @model_validator(mode="after")
    def _runtime_of_times(self) -> "Sweep":
        if self.runtime != "native" and self.unit != "time":
            raise ValueError(
                f"runtime: {self.runtime} is what budgets of time are measured in, but the unit is "
                f"{self.unit}; set unit: time, or leave runtime out"
            )
        return self

    @model_validator(mode="after")
    def _layers_in_one_go(self) -> "Sweep":
        in_rounds = [each for each in self.allocations if each in ("iterated", "measured")]
        if in_rounds and self.layers != [None]:
            raise ValueError(
                f"layers cannot go with the allocation {in_rounds[0]!r}, which tries the model as "
                "it goes: one with fewer layers is of use only after compensation; take greedy or "
                "uniform"
            )
        return self

    @property
    def kept_to(self) -> Literal["symmetrix"] | None:
        """The runtime whose architectures plans must keep to; None: any that the family builds."""
        return "symmetrix" if self.runtime == "symmetrix" else self.deployable

    @property
    def limits_time(self) -> bool:
        """Whether a budget limits time, for which shapes must be timed."""
        return self.unit == "time" and bool(self.budgets)

    def scored(self) -> list[Criterion]:
        """Return the criteria to score: those of the sweep, and those that cost nothing.

        The latter need no data, and adding them to the sweep later requires no new scores.
        """
        free = {"magnitude", "random"}
        return [name for name in get_args(Criterion) if name in free or name in self.criteria]


class Compensation(Section):
    """Settings for the closed-form fit of the kept weights to the parent's features.

    Example:
        >>> Compensation(dataset="silicon").structures
        512
    """

    dataset: str
    structures: Integer = Field(
        512,
        ge=5,
        le=10**9,
        description="Calibration structures from the train split; no labels are read.",
    )
    batch_size: Count = 8
    derivative_weight: Weight = Field(
        0.5,
        description="Weight of the change of features when atoms are displaced, which forces "
        "depend on, relative to the features themselves.",
    )
    displacement: Number = Field(0.02, ge=1e-4, le=0.2, description="Standard deviation in Å.")
