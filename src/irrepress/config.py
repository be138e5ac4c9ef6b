"""The typed configuration of a study: the one place where a default stands.

`load_config` reads YAML, refuses what cannot work with one message per mistake, and fills in
the defaults. ``config/schema.json`` is generated from the models in this file.
"""

from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from irrepress.errors import UserError, nearest
from irrepress.structures.published.registry import PUBLISHED

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=80)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Criterion = Literal["taylor", "fisher", "hessian", "magnitude", "activation", "random"]
Normalization = Literal["auto", "none", "group", "layer", "order"]
Unit = Literal["blocks", "parameters", "flops", "time"]
Axes = Literal["both", "channels"]
Allocation = Literal["greedy", "uniform", "iterated", "measured"]
Stage = Literal["pruned", "compensated", "recovered", "distilled"]
# What parameters do in a network: see `Family.parameter_parts`.
Part = Literal["embedding", "linear", "radial", "readout"]
Format = Literal[
    "auto", "extxyz", "extxyz-archive", "ase", "ase-db", "mace-hdf5", "mptrj-json", "deepmd"
]
NumberType = Literal["float32", "float64"]
# Settings of a training that change where and how fast it runs, not what comes out.
OF_THE_MACHINE = frozenset({"workers", "devices", "nodes", "checkpoint_minutes"})
Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelRef(_Section):
    """A checkpoint of a family."""

    family: str = Field(description="Family of the checkpoint, such as sevennet.")
    checkpoint: str = Field(description="Keyword of the family (7net-0) or path of a file.")
    modal: str | None = Field(
        None, description="Level of theory of a multi-modal checkpoint, such as PBE."
    )
    sha256: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="Refuse the checkpoint file if its SHA-256 is another one.",
    )
    licence: str | None = Field(
        None,
        description="Licence of the weights, for the model card. A checkpoint whose licence "
        "restricts its use is downloaded only if this names the licence, to say that you accept "
        "it; a run without it shows the licence.",
    )
    dtype: NumberType = Field(
        "float32",
        description="Type of numbers that models are made, trained and saved in, where the "
        "family's files hold both (SevenNet's are float32).",
    )


class LabelKeys(_Section):
    """Keys of the labels in files read by ASE; null means ASE's own calculator results."""

    energy: str | None = None
    forces: str | None = None
    stress: str | None = None
    group: str | None = Field(
        None,
        description="Key of what siblings share: a trajectory, a material; null: the key 'group'.",
    )


class Units(_Section):
    """Units of a source; they are converted once, when it is read."""

    energy: Literal["eV", "meV", "Hartree", "kcal/mol", "kJ/mol"] = "eV"
    length: Literal["Å", "Bohr", "nm"] = Field("Å", description="Of positions and cells.")
    stress: Literal["eV/Å^3", "GPa", "kbar", "virial"] = Field(
        "eV/Å^3",
        description="virial: not the stress but the virial, -stress × volume, in units of energy.",
    )
    stress_sign: Literal["ase", "vasp"] = Field(
        "ase", description="ase: positive under tension; vasp: positive under compression."
    )


class Split(_Section):
    """How a dataset is divided. Siblings (same group) never fall into different parts."""

    train: float = Field(0.7, ge=0, le=1)
    valid: float = Field(0.15, ge=0, le=1)
    test: float = Field(0.15, ge=0, le=1)
    by: Literal["group", "composition", "structure"] = Field(
        "group",
        description="What stays together: the recorded group (parent crystal, info key 'group' "
        "of a file), the reduced composition, or nothing (each structure on its own).",
    )

    @model_validator(mode="after")
    def _sum(self) -> "Split":
        total = self.train + self.valid + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train + valid + test must be 1, they are {total:g}")
        return self


class Counts(_Section):
    """Structures of each part, in place of fractions; null: all that there are."""

    train: int | None = Field(None, gt=0)
    valid: int | None = Field(None, gt=0)
    test: int | None = Field(None, gt=0)


class Generated(_Section):
    """Structures built with ASE, strained and rattled, labelled by a model."""

    source: Literal["generated"]
    systems: list[str] = Field(
        min_length=1,
        description="Names of prototypes from irrepress.structures.prototypes, or groups of "
        "them: crystals, alloys, surfaces, molecules.",
    )
    count: int = Field(64, gt=0, description="Structures in all, spread over the systems.")
    strain: float = Field(0.04, ge=0, le=0.3, description="Largest strain component.")
    rattle: float = Field(0.08, ge=0, le=1, description="Standard deviation in Å.")
    max_atoms: int = Field(24, gt=0, description="Prototypes are repeated up to this size.")
    labels: ModelRef = Field(description="The model whose energies and forces are the labels.")
    split: Split = Split()
    seed: int = 0


class _Read(_Section):
    """What all datasets have in common that are read and not generated."""

    counts: Counts | None = Field(
        None, description="Sizes of the parts, where they are to be smaller than the split says."
    )
    bad_frames: Literal["stop", "skip"] = Field(
        "stop",
        description="What a frame with absent or absurd labels does: it ends the reading with one "
        "message, or it is left out and counted.",
    )
    seed: int = 0


class Files(_Read):
    """Structures in files of the user: extxyz (also .xz, .gz), databases, whatever ASE reads."""

    source: Literal["files"]
    paths: list[str] = Field(min_length=1)
    valid_paths: list[str] = Field(
        default=[], description="Files that are the valid split as a whole."
    )
    test_paths: list[str] = Field(
        default=[], description="Files that are the test split as a whole."
    )
    format: Format = Field(
        "auto", description="How the files are read; auto: by their names and first bytes."
    )
    keys: LabelKeys = LabelKeys()
    units: Units = Units()
    isolated_atoms: str | None = Field(
        None,
        description="File of single atoms, whose energies are the reference energies of the "
        "elements; null: frames with config_type=IsolatedAtom, else a least-squares fit.",
    )
    level_of_theory: str = Field("unknown", description="Such as PBE or wB97M-D3.")
    licence: str = "unknown"
    citation: str = ""
    limit: int | None = Field(None, gt=0, description="Read at most this many structures a file.")
    split: Split = Split()


class Published(_Read):
    """A published dataset by its name: downloaded from its official source and verified."""

    source: Literal["published"]
    name: str = Field(description="Such as mptrj, rmd17-aspirin or 3bpa.")
    accept_licence: str | None = Field(
        None,
        description="Name of a licence that restricts use, to say that you accept it. A run "
        "without it shows the licence.",
    )
    fold: int = Field(1, ge=1, le=5, description="Which of several official splits (rMD17).")
    unassigned: Literal["test", "none"] = Field(
        "test",
        description="Where structures go that the official split leaves out (rMD17: 98,000).",
    )
    limit: int | None = Field(None, gt=0, description="Read at most this many structures.")
    split: Split | None = Field(
        None,
        description="Fractions of the parts that the source does not give; null: 0.7, 0.15 and "
        "0.15, siblings together.",
    )

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in PUBLISHED:
            raise ValueError(f"no published dataset {name!r}; {nearest(name, PUBLISHED)}")
        return name


class Perturbed(_Section):
    """Structures of another dataset, strained and rattled, labelled by a model.

    Those of its train and valid parts stay in these parts. Nothing is made of its test part, and
    the test part of this dataset is empty.
    """

    source: Literal["perturbed"]
    of: Name = Field(description="The dataset whose structures are perturbed.")
    count: int = Field(
        500, ge=2, description="Perturbed structures in all, spread evenly over the dataset's."
    )
    rattle: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Largest standard deviation of displacements in Å; each structure draws its "
        "own between 0 and this.",
    )
    strain: float = Field(
        0.03,
        ge=0,
        le=0.3,
        description="Largest component of the strain along periodic directions; each structure "
        "draws its own bound between 0 and this.",
    )
    max_atoms: int | None = Field(
        None, gt=0, description="Leave out structures that are larger, to label faster."
    )
    keep_unperturbed: bool = Field(
        True, description="The dataset's own structures come, too, labelled by the model."
    )
    labels: ModelRef = Field(description="The model whose energies and forces are the labels.")
    seed: int = 0


Dataset = Annotated[Generated | Files | Published | Perturbed, Field(discriminator="source")]


class Downloads(_Section):
    """Where files of published datasets and checkpoints come from and go to."""

    directory: str = Field("downloads", description="Shared by all studies.")
    mirror: str | None = Field(
        None,
        description="Local directory that is tried before the network: FILE or COLLECTION/FILE "
        "in it, as the official source names them (COLLECTION of a checkpoint is its family).",
    )
    retries: int = Field(5, ge=0, description="Of each address, after which the next is tried.")
    timeout: float = Field(30.0, gt=0, description="Seconds without a byte.")


class LossWeights(_Section):
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


class Scoring(_Section):
    """How importance scores are computed: one pass serves all criteria and budgets."""

    dataset: str
    structures: int = Field(64, gt=0, description="Calibration structures from the train split.")
    batch_size: int = Field(8, gt=0)
    probes: int = Field(
        1, gt=0, description="Random vectors per batch for the curvature in the criterion hessian."
    )
    weights: LossWeights = LossWeights()


class Explicit(_Section):
    """Target irreps instead of a fraction."""

    irreps: list[str] | str = Field(
        description="Irreps of the node features: one text for every layer, or one a layer. Or "
        "the name of an official shape that the family knows, such as mace-mp-0-small."
    )
    filter_lmax: int | None = Field(None, ge=0, description="Highest order of the filter.")


class Sweep(_Section):
    """Which plans are made: criteria × budgets × axes × allocations, and explicit ones."""

    criteria: list[Criterion] = Field(["taylor", "magnitude"], min_length=1)
    normalization: Normalization = Field(
        "auto",
        description="Scores are divided by their mean over the group (site and irrep), the layer "
        "or the order before blocks compete; auto: group for magnitude and activation, which "
        "have no scale that sites share, and none for the others.",
    )
    budgets: list[Fraction] = Field([0.75, 0.5, 0.25], description="What may stay, as a fraction.")
    unit: Unit = Field(
        "flops",
        description="What the fraction is counted in; time: of energy, forces and stress on this "
        "machine, predicted from shapes of the model that are timed on it.",
    )
    timed_shapes: int = Field(
        36, ge=12, description="Shapes that are timed for the unit time, the parent included."
    )
    axes: list[Axes] = Field(
        ["both", "channels"], min_length=1, description="With and without pruning of orders."
    )
    allocations: list[Allocation] = Field(
        ["greedy"],
        min_length=1,
        description="How a budget is spread over layers and orders. greedy: the least score lost "
        "per cost saved; uniform: the same fraction of every width, orders kept; iterated: greedy "
        "in small steps, with new scores for what is left; measured: in steps, each the best of "
        "removals that are tried on the calibration structures, where scores choose the channels "
        "alone.",
    )
    step: Fraction = Field(
        0.1,
        description="What a step of iterated or measured removes, as a fraction of what is left.",
    )
    explicit: dict[Name, Explicit] = Field({}, description="Plans by name, with target irreps.")
    multiple: int = Field(8, gt=0, description="Keep multiples of this many channels.")
    floor: int = Field(8, ge=1, description="Keep at least this many channels of scalars.")

    def scored(self) -> list[Criterion]:
        """Return the criteria that are scored: those of the sweep, and those without a price.

        The latter need no data, so that adding them to the sweep makes nothing anew.
        """
        free = {"magnitude", "random"}
        return [name for name in get_args(Criterion) if name in free or name in self.criteria]


class Compensation(_Section):
    """Closed-form fit of the kept weights to the parent's features, before any training."""

    dataset: str
    structures: int = Field(
        512, ge=5, description="Calibration structures from the train split; no labels are read."
    )
    batch_size: int = Field(8, gt=0)
    derivative_weight: float = Field(
        0.5,
        ge=0,
        description="Weight of how features change when atoms are displaced, which forces depend "
        "on, beside the features themselves.",
    )
    displacement: float = Field(0.02, gt=0, le=0.2, description="Standard deviation in Å.")


class Training(_Section):
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


class Quantization(_Section):
    """Weight-only quantization of path and radial weights."""

    bits: Literal[4, 8] = 8
    stages: list[Stage] = ["recovered"]


class Export(_Section):
    """Models in another type of numbers: each is a stage with its own errors, time and checks."""

    dtypes: list[NumberType] = Field(["float32"], min_length=1)
    stages: list[Stage] = ["recovered"]


class Downstream(_Section):
    """Fine-tuning of the compressed model on each dataset, beside baselines."""

    datasets: list[str] = []
    stage: Stage = Field(
        "recovered", description="The stage of the compressed model that is fine-tuned."
    )
    baselines: list[Literal["scratch", "parent", "restricted"]] = Field(
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


class StudyModel(ModelRef):
    """A model of the study: a checkpoint, or an architecture to be trained from scratch."""

    checkpoint: str | None = Field(
        None, description="Keyword of the family (7net-0) or path of a file."
    )
    untrained: dict[str, Any] | None = Field(
        None,
        description="In place of a checkpoint: settings of an architecture by the family's own "
        "names, such as {sphere_channels: 64, lmax: 3}; {} is a small model of the family. It gets "
        "random weights and is trained by the section training; elements, reference energies and "
        "scale are those of the data.",
    )
    training: Training | None = Field(
        None, description="How the untrained model becomes the parent; dataset must be named."
    )
    restrict_to: Name | None = Field(
        None,
        description="Dataset whose elements are the only ones that the model keeps: nothing is "
        "lost on them, and a model of many elements gets much smaller. null: it keeps all.",
    )
    compress: bool = Field(
        True,
        description="false: the model is only evaluated, to compare others with, such as a smaller "
        "official one.",
    )

    @model_validator(mode="after")
    def _one_origin(self) -> "StudyModel":
        if (self.checkpoint is None) == (self.untrained is None):
            raise ValueError("name either a checkpoint or, to train from scratch, untrained: {...}")
        if (self.untrained is None) != (self.training is None):
            raise ValueError("untrained and training belong together; give both or neither")
        if self.untrained is not None and self.sha256 is not None:
            raise ValueError("sha256 is that of a checkpoint; leave it out with untrained")
        if self.untrained is not None and self.restrict_to is not None:
            raise ValueError(
                "restrict_to: an untrained model has the elements of the data it is trained on; "
                "leave it out"
            )
        return self


class Evaluation(_Section):
    """What is measured on every model."""

    dataset: str
    batch_size: int = Field(8, gt=0)
    timing_atoms: int = Field(64, gt=0, description="Size of the crystal that is timed.")
    timing_repeats: int = Field(5, gt=0)


class Cluster(_Section):
    """What jobs ask of a cluster; accounts and partitions stand in ``profiles/slurm``."""

    gpu_type: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_.]+$",
        description="Type of the GPUs as the cluster calls it (sinfo -o %G), such as a100; null: "
        "any.",
    )
    max_minutes: int = Field(
        1440,
        gt=0,
        description="Longest time limit that a job asks for. A training that needs more saves "
        "itself and goes on in its next attempt.",
    )
    max_memory: int | None = Field(
        None,
        gt=0,
        description="Most memory that a job asks for, in MB: that of the nodes. What jobs ask for "
        "grows with every attempt, and SLURM refuses what no node has.",
    )


class Config(_Section):
    """A study: results go to ``results/{name}/``."""

    name: Name
    seed: int = 0
    device: Device = "auto"
    datasets: dict[Name, Dataset] = Field(min_length=1)
    downloads: Downloads = Downloads()
    cluster: Cluster = Cluster()
    models: dict[Name, StudyModel] = Field(min_length=1)
    scoring: Scoring
    sweep: Sweep = Sweep()
    train_plans: list[str] = Field(
        default=[],
        description="Plans that go on to recovery, distillation, quantization and downstream "
        "tasks, such as taylor-0.50.",
    )
    compensation: Compensation | None = None
    recovery: Training | None = None
    distillation: Distillation | None = None
    quantization: Quantization | None = None
    export: Export | None = None
    downstream: Downstream | None = None
    evaluation: Evaluation

    def compressed_models(self) -> list[str]:
        """Return the names of the models that are compressed; others are only evaluated."""
        return [name for name, model in self.models.items() if model.compress]

    def plans(self) -> dict[str, dict[str, Any]]:
        """Return every plan of the sweep: name -> how it is made.

        The values hold ``criterion``, ``axes`` and either ``budget`` and ``allocation`` or
        ``explicit``. Plans of uniform allocation keep all orders whatever the axes, so that
        they are made for the first axes only.
        """
        plans: dict[str, dict[str, Any]] = {}
        for criterion in self.sweep.criteria:
            for axes, allocation in product(self.sweep.axes, self.sweep.allocations):
                if allocation == "uniform" and axes != self.sweep.axes[0]:
                    continue
                suffix = "" if axes == "both" else f"-{axes}"
                suffix += "" if allocation == "greedy" else f"-{allocation}"
                for budget in self.sweep.budgets:
                    plans[f"{criterion}-{budget:.2f}{suffix}"] = {
                        "criterion": criterion,
                        "axes": axes,
                        "allocation": allocation,
                        "budget": budget,
                    }
            for name, explicit in self.sweep.explicit.items():
                plans[f"{criterion}-{name}"] = {
                    "criterion": criterion,
                    "axes": "both",
                    "explicit": explicit,
                }
        return plans

    def stages(self) -> list[str]:
        """Return the stages that the trained plans go through, in order."""
        stages = ["pruned"]
        if self.compensation:
            stages.append("compensated")
        if self.recovery:
            stages.append("recovered")
        if self.distillation:
            stages.append("distilled")
        if self.quantization:
            stages += [f"{stage}-int{self.quantization.bits}" for stage in self.quantization.stages]
        if self.export:
            stages += [f"{s}-{dtype}" for s in self.export.stages for dtype in self.export.dtypes]
        return stages

    @model_validator(mode="after")
    def _references(self) -> "Config":
        for where, name in self._dataset_references():
            if name not in self.datasets:
                raise ValueError(f"{where}: no dataset {name!r}; {nearest(name, self.datasets)}")
        self._check_perturbed()
        if not self.compressed_models():
            raise ValueError("models: none is compressed; leave out compress: false of one")
        plans = self.plans()
        for name in self.train_plans:
            if name not in plans:
                raise ValueError(f"train_plans: no plan {name!r}; {nearest(name, plans)}")
        if len({f"{b:.2f}" for b in self.sweep.budgets}) != len(self.sweep.budgets):
            raise ValueError("sweep.budgets: two budgets are the same to two decimals")
        if "iterated" in self.sweep.allocations and "random" in self.sweep.criteria:
            raise ValueError(
                "sweep.allocations: 'iterated' scores a model anew as it shrinks, which means "
                "nothing for the criterion 'random'; leave one of them out"
            )
        stages = self.stages()
        for section in ("quantization", "export"):
            for stage in getattr(getattr(self, section), "stages", []):
                if stage not in stages:
                    raise ValueError(f"{section}.stages: {stage!r} is not computed; configure it")
        if self.downstream and self.downstream.stage not in stages:
            raise ValueError(
                f"downstream.stage: {self.downstream.stage!r} is not computed; configure it"
            )
        return self

    def _check_perturbed(self) -> None:
        perturbed = {n: d for n, d in self.datasets.items() if isinstance(d, Perturbed)}
        sources = self.datasets.keys() - perturbed.keys()
        for name, dataset in perturbed.items():
            if dataset.of in perturbed:
                raise ValueError(
                    f"datasets.{name}.of: {dataset.of!r} is perturbed itself; name the dataset "
                    f"that the structures come from. Known: {', '.join(sorted(sources))}"
                )
            if dataset.of not in sources:
                raise ValueError(
                    f"datasets.{name}.of: no dataset {dataset.of!r}; {nearest(dataset.of, sources)}"
                )
        tested = [("evaluation.dataset", self.evaluation.dataset)]
        tested += [("downstream.datasets", n) for n in getattr(self.downstream, "datasets", [])]
        for where, name in tested:
            if name in perturbed:
                raise ValueError(
                    f"{where}: {name!r} has no test part, since perturbed structures are only "
                    f"trained on; name {perturbed[name].of!r}, which it is made of"
                )

    def _dataset_references(self) -> list[tuple[str, str]]:
        references = [
            ("scoring.dataset", self.scoring.dataset),
            ("evaluation.dataset", self.evaluation.dataset),
        ]
        for name, model in self.models.items():
            if model.training:
                where = f"models.{name}.training.dataset"
                if model.training.dataset is None:
                    raise ValueError(f"{where}: name the dataset to train on")
                references.append((where, model.training.dataset))
        if self.compensation:
            references.append(("compensation.dataset", self.compensation.dataset))
        references += [
            (f"models.{name}.restrict_to", model.restrict_to)
            for name, model in self.models.items()
            if model.restrict_to is not None
        ]
        for section in ("recovery", "distillation"):
            training = getattr(self, section)
            if training:
                if training.dataset is None:
                    raise ValueError(f"{section}.dataset: name the dataset to train on")
                references.append((f"{section}.dataset", training.dataset))
        if self.downstream:
            references += [("downstream.datasets", name) for name in self.downstream.datasets]
        return references


def load_config(path: str | Path) -> Config:
    """Read and check a configuration file.

    Raises:
        UserError: not readable, not YAML, or wrong; the message lists every mistake with its
            key, its value and the nearest right key.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a YAML file ({error})") from error
    return parse_config(content, str(path))


def parse_config(content: Any, source: str = "config") -> Config:
    """Check the content of a configuration.

    Args:
        content: what the YAML file holds.
        source: what messages call it.

    Raises:
        UserError: as in `load_config`.
    """
    if not isinstance(content, dict):
        raise UserError(f"{source}: the file must hold keys such as name, datasets, models")
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        lines = [_describe(mistake) for mistake in error.errors()]
        raise UserError(f"{source}: " + f"\n{source}: ".join(lines)) from None


def schema() -> dict[str, Any]:
    """Return the JSON schema of the configuration."""
    return Config.model_json_schema()


_WRONG_TAGS = ("union_tag_invalid", "union_tag_not_found")


def _describe(mistake: Any) -> str:
    """Return one line for a mistake that pydantic found."""
    location = [str(part) for part in mistake["loc"]]
    # Discriminated unions put the tag into the location; it is not a key of the file.
    if location[:1] == ["datasets"] and mistake["type"] not in _WRONG_TAGS:
        del location[2:3]
    where = ".".join(location)
    if mistake["type"] == "extra_forbidden":
        known = _known_keys(location[:-1])
        return f"{where}: unknown key; {nearest(location[-1], known)}"
    if mistake["type"] == "missing":
        return f"{where}: this key is needed"
    message = mistake["msg"].removeprefix("Value error, ")
    value = mistake.get("input")
    if mistake["type"] == "literal_error" and isinstance(value, str):
        known = [
            part.strip("'") for part in mistake["ctx"]["expected"].replace(" or ", ", ").split(", ")
        ]
        return f"{where}: unknown value {value!r}; {nearest(value, known)}"
    if not where:
        return message
    return f"{where}: {message}" + ("" if isinstance(value, dict | list) else f" (got {value!r})")


def _known_keys(location: list[str]) -> list[str]:
    """Return the keys that are known in the section at ``location``."""
    definitions = schema()["$defs"]
    node: dict[str, Any] = schema()
    keys: set[str] = set()
    nodes = [node]
    for part in location:
        following = []
        for node in nodes:
            if part in node.get("properties", {}):
                following += _resolve(node["properties"][part], definitions)
            elif "patternProperties" in node:
                for value in node["patternProperties"].values():
                    following += _resolve(value, definitions)
            elif isinstance(node.get("additionalProperties"), dict):
                following += _resolve(node["additionalProperties"], definitions)
        nodes = following
    for node in nodes:
        keys.update(node.get("properties", {}))
    return sorted(keys)


def _resolve(node: dict[str, Any], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the object schemas that a schema node can stand for."""
    if "$ref" in node:
        return [definitions[node["$ref"].rsplit("/", 1)[-1]]]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in node:
            return [found for option in node[key] for found in _resolve(option, definitions)]
    return [node]
