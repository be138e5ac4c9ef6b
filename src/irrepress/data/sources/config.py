"""Config of the datasets that irrepress makes: built from prototypes, or from other datasets."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from irrepress.catalogue.model_ref import ModelRef
from irrepress.core.section import (
    EACH_ONCE,
    ChosenTimeStep,
    Count,
    Integer,
    Name,
    Number,
    Pressure,
    RunStrain,
    Section,
    Seed,
    SupercellSize,
    Temperature,
    Text,
)
from irrepress.data.config import Counts, Split


class Generated(Section):
    """A dataset of structures built with ASE, strained and rattled, and labelled by a model.

    Example:
        >>> labels = ModelRef(family="sevennet", checkpoint="7net-0")
        >>> Generated(source="generated", systems=["silicon"], count=8, labels=labels).max_atoms
        24
    """

    source: Literal["generated"]
    systems: Annotated[list[Text], EACH_ONCE] = Field(
        min_length=1,
        description="Names of prototypes from irrepress.data.sources.prototypes, or kinds of them: "
        "crystals, alloys, surfaces, molecules.",
    )
    count: Count = Field(
        64, description="Total number of structures, distributed over the systems."
    )
    strain: Number = Field(0.04, ge=0, le=0.3, description="Maximum strain component.")
    rattle: Number = Field(0.08, ge=0, le=1, description="Standard deviation in Å.")
    max_atoms: Integer = Field(
        24, gt=0, le=5000, description="Prototypes are repeated up to this size."
    )
    labels: ModelRef = Field(description="The model whose energies and forces are the labels.")
    split: Split = Split()
    seed: Seed = 0


class Derived(Section):
    """Base class of datasets made from the structures of another one and labelled by a model.

    Attributes:
        PARTS: the splits that such a dataset may have.

    Example:
        >>> labels = ModelRef(family="sevennet", checkpoint="7net-0")
        >>> Perturbed(source="perturbed", of="silicon", labels=labels).PARTS
        ('train', 'valid')
    """

    PARTS: ClassVar[tuple[str, ...]] = ("train", "valid", "test")

    of: Name = Field(description="The dataset whose structures this one is made from.")
    labels: ModelRef = Field(description="The model whose energies and forces are the labels.")
    seed: Seed = 0


class Perturbed(Derived):
    """A dataset of strained and rattled structures of another dataset, labelled by a model.

    Copies of structures in its train and valid splits stay in these splits. Its test split is not
    used, and the test split of this dataset is empty.

    Example:
        >>> labels = ModelRef(family="sevennet", checkpoint="7net-0")
        >>> Perturbed(source="perturbed", of="silicon", labels=labels).count
        500
    """

    PARTS = ("train", "valid")

    source: Literal["perturbed"]
    count: Integer = Field(
        500,
        ge=2,
        le=10**9,
        description="Total number of perturbed copies, distributed evenly over the dataset's "
        "structures; keep_unperturbed adds the structures themselves.",
    )
    rattle: Number = Field(
        0.1,
        ge=0,
        le=1,
        description="Maximum standard deviation of displacements in Å; each copy draws its own "
        "between 0 and this value.",
    )
    strain: Number = Field(
        0.03,
        ge=0,
        le=0.3,
        description="Maximum component of the strain along periodic directions; each copy draws "
        "its own bound between 0 and this value.",
    )
    max_atoms: Count | None = Field(
        None, description="Skip larger structures, for faster labelling."
    )
    keep_unperturbed: bool = Field(
        True,
        description="Include the dataset's own structures, labelled by the model, in addition to "
        "the copies.",
    )


class Joined(Section):
    """One dataset of several whose labels come from the same model or level of theory.

    Structures stay in their splits.

    Example:
        >>> Joined(source="joined", of=["rattled", "strained"]).of
        ['rattled', 'strained']
    """

    source: Literal["joined"]
    of: Annotated[list[Name], EACH_ONCE] = Field(
        min_length=1, description="The datasets to join, in order."
    )
    counts: Counts | None = Field(
        None, description="Maximum sizes of the splits, of which structures are drawn at random."
    )
    seed: Seed = 0


class Sampled(Derived):
    """A dataset of frames from molecular dynamics of the labelling model.

    The energies and forces that move the atoms are the labels. A run is a group: its frames stay in
    one split, and every split gets runs at each temperature as far as there are enough.

    Example:
        >>> labels = ModelRef(family="sevennet", checkpoint="7net-0")
        >>> Sampled(source="sampled", of="cell", temperatures=[300, 900], labels=labels).runs
        12
    """

    source: Literal["sampled"]
    temperatures: Annotated[list[Temperature], EACH_ONCE] = Field(
        min_length=1, description="Temperatures in K; runs take them in turn."
    )
    pressure: Pressure | None = Field(
        None,
        description="Pressure in GPa, at which the cell may change (NPT); null: constant cell.",
    )
    runs: Integer = Field(
        12, gt=0, le=100_000, description="Number of independent runs; each has its own strain."
    )
    count: Count = Field(96, description="Total number of frames to keep.")
    atoms: SupercellSize = 64
    strain: RunStrain = 0.02
    timestep: ChosenTimeStep = None
    equilibration: Integer = Field(
        16, ge=0, le=10**8, description="Steps of a run before its first frame."
    )
    steps: Integer = Field(48, ge=1, le=10**8, description="Steps of a run that frames are from.")
    keep: Literal["diversity", "time"] = Field(
        "diversity",
        description="diversity: of at least twice as many frames, keep those that differ most in "
        "the model's features; time: keep frames at equal intervals.",
    )
    relax: bool = Field(
        True,
        description="First relax the atoms of each structure by the model, in its own cell.",
    )
    split: Split = Split()

    @model_validator(mode="after")
    def _enough_runs(self) -> "Sampled":
        parts = [part for part in self.PARTS if getattr(self.split, part) > 0]
        least = max(len(self.temperatures), len(parts) if self.split.by == "group" else 1)
        if self.runs < least:
            raise ValueError(
                f"runs: {self.runs} are too few for {len(self.temperatures)} temperatures and the "
                f"splits {', '.join(parts)}; give at least {least}"
            )
        if self.count > self.runs * self.steps:
            raise ValueError(
                f"count: {self.runs} runs of {self.steps} steps have fewer than {self.count} "
                "frames; raise steps or runs"
            )
        if self.count < self.runs:
            raise ValueError(
                f"count: {self.count} frames are fewer than {self.runs} runs; lower runs, or raise "
                "count"
            )
        return self


class Drawn(Derived):
    """Base class of datasets of single structures that are drawn from those of another dataset.

    Example:
        >>> labels = ModelRef(family="sevennet", checkpoint="7net-0")
        >>> Strained(source="strained", of="cell", count=40, labels=labels).rattle
        0.03
    """

    count: Count = Field(24, description="Total number of structures.")
    atoms: SupercellSize = 64
    rattle: Number = Field(
        0.03,
        ge=0,
        le=1,
        description="Maximum standard deviation of displacements in Å; each structure draws its "
        "own between 0 and this value.",
    )
    split: Split = Split()


Deformation = Literal["hydrostatic", "uniaxial", "shear"]


class Strained(Drawn):
    """A dataset of structures along deformations of those of another dataset.

    Example:
        >>> labels = ModelRef(family="sevennet", checkpoint="7net-0")
        >>> Strained(source="strained", of="cell", strain=0.04, labels=labels).kinds
        ['hydrostatic', 'uniaxial', 'shear']
    """

    source: Literal["strained"]
    kinds: Annotated[list[Deformation], EACH_ONCE] = Field(
        default=["hydrostatic", "uniaxial", "shear"],
        min_length=1,
        description="Deformations, which structures take in turn: of all lengths (for equations of "
        "state), of one direction, of one angle; along periodic directions only.",
    )
    strain: Number = Field(
        0.06,
        gt=0,
        le=0.3,
        description="Strains of a deformation are evenly spaced from minus this value to it.",
    )


Defect = Literal["vacancies", "interstitials", "surfaces"]


class Defective(Drawn):
    """A dataset of crystals with defects, made from those of another dataset.

    Example:
        >>> labels = ModelRef(family="sevennet", checkpoint="7net-0")
        >>> Defective(source="defective", of="cell", kinds=["vacancies"], labels=labels).count
        24
    """

    source: Literal["defective"]
    kinds: Annotated[list[Defect], EACH_ONCE] = Field(
        default=["vacancies", "interstitials", "surfaces"],
        min_length=1,
        description="Defects, which structures take in turn: one atom is missing; one of its "
        "elements is added in a void; a slab between vacuum.",
    )


class Substituted(Drawn):
    """A dataset of structures of another dataset with similar elements in place of theirs.

    Example:
        >>> labels = ModelRef(family="sevennet", checkpoint="7net-0")
        >>> Substituted(source="substituted", of="cell", distance=2, labels=labels).strain
        0.02
    """

    source: Literal["substituted"]
    distance: Number = Field(
        1.0,
        gt=0,
        le=100,
        description="How unlike elements may be: distance on Pettifor's scale at which a "
        "replacement is e times less likely than the most similar one.",
    )
    strain: Number = Field(
        0.02,
        ge=0,
        le=0.3,
        description="Maximum component of a random strain, after cells are scaled by the covalent "
        "radii of their elements.",
    )


class Relaxed(Drawn):
    """A dataset of structures on their way to rest, after those of another dataset were disturbed.

    They are rattled and strained, then relaxed for a few steps, in rounds. So atoms are off their
    places by much and little, together and alone, and forces are large and small (rattle, relax,
    repeat: Gardner et al., arXiv 2506.10956, 2025).

    Example:
        >>> labels = ModelRef(family="sevennet", checkpoint="7net-0")
        >>> Relaxed(source="relaxed", of="cell", rounds=3, labels=labels).steps
        8
    """

    source: Literal["relaxed"]
    rattle: Number = Field(
        0.15,
        ge=0,
        le=1,
        description="Maximum standard deviation of displacements in Å; each round draws its own "
        "between 0 and this value.",
    )
    strain: Number = Field(
        0.03,
        ge=0,
        le=0.3,
        description="Maximum component of a structure's random strain along periodic directions.",
    )
    rounds: Integer = Field(
        2, ge=1, le=100, description="A structure is rattled and relaxed up to so many times."
    )
    steps: Integer = Field(
        8, ge=1, le=10_000, description="Most steps of a relaxation; each draws its own number."
    )


Place = Literal["inside", "alone"]


class Squeezed(Drawn):
    """A dataset of structures with two atoms too close to each other, which are pushed apart.

    Dynamics never come to such distances, so that a model of dynamics alone may let atoms fall into
    each other. Pairs of all elements take turns.

    Example:
        >>> labels = ModelRef(family="sevennet", checkpoint="7net-0")
        >>> Squeezed(source="squeezed", of="cell", labels=labels).closest
        0.5
    """

    source: Literal["squeezed"]
    kinds: Annotated[list[Place], EACH_ONCE] = Field(
        default=["inside", "alone"],
        min_length=1,
        description="Where pairs are, in turn: two neighbours in a structure; two atoms alone.",
    )
    closest: Number = Field(
        0.5,
        ge=0.2,
        lt=1,
        description="Smallest distance relative to the sum of the covalent radii; structures are "
        "spread between it and 1. A pair that the labelling model pulls together is drawn again, "
        "less close.",
    )
