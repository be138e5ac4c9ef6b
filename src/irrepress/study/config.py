"""The complete config, with checks across its sections."""

from typing import Annotated

from pydantic import Field, model_validator

from irrepress.core.errors import nearest
from irrepress.core.section import EACH_ONCE, Device, Name, Section, Seed
from irrepress.data.config import Downloads, KeptLabels
from irrepress.data.datasets import Dataset, origins
from irrepress.deploy.config import FAMILIES
from irrepress.evaluation.config import Evaluation
from irrepress.evaluation.physics.config import Validation
from irrepress.pruning.config import Compensation, Scoring, Sweep
from irrepress.study.labels import lacks_labels, mixed_labels, parts_of
from irrepress.study.models import StudyModel
from irrepress.study.names import name_mistakes
from irrepress.study.recipes import Recipe, recipes
from irrepress.study.sections import Cluster, Deploy, Downstream, Export, Quantization
from irrepress.study.stages import COMPENSATED, DISTILLED, PRUNED, RECOVERED, REFINED, Stage
from irrepress.training.config import Distillation, Refinement, Training


class Config(Section):
    """The config of a study, whose results are written to ``results/{name}/``.

    Example:
        >>> config = Config.model_validate({
        ...     "name": "tiny",
        ...     "datasets": {"silicon": {"source": "files", "paths": ["si.xyz"]}},
        ...     "models": {"m": {"family": "sevennet", "checkpoint": "7net-0"}},
        ...     "scoring": {"dataset": "silicon"},
        ...     "sweep": {"criteria": ["taylor"], "budgets": [0.5], "axes": ["both"]},
        ...     "evaluation": {"dataset": "silicon"},
        ... })
        >>> list(config.plans()), [stage.name for stage in config.stages()]
        (['taylor-0.50'], ['pruned'])
    """

    name: Name
    seed: Seed = 0
    device: Device = "auto"
    datasets: dict[Name, Dataset] = Field(min_length=1)
    downloads: Downloads = Downloads()
    kept_labels: KeptLabels = KeptLabels()
    cluster: Cluster = Cluster()
    models: dict[Name, StudyModel] = Field(min_length=1)
    scoring: Scoring
    sweep: Sweep = Sweep()
    train_plans: Annotated[list[str], EACH_ONCE] = Field(
        default=[],
        description="Plans that are continued with recovery, distillation, quantization and "
        "downstream tasks, such as taylor-0.50.",
    )
    compensation: Compensation | None = None
    recovery: Training | None = None
    distillation: Distillation | None = None
    refinement: Refinement | None = None
    quantization: Quantization | None = None
    export: Export | None = None
    downstream: Downstream | None = None
    evaluation: Evaluation
    validation: Validation | None = Field(
        None, description="null: models are not measured beside their parents."
    )
    deploy: Deploy | None = Field(None, description="null: models are not deployed.")

    def compressed_models(self) -> list[str]:
        """Return the names of the models to compress; others are only evaluated."""
        return [name for name, model in self.models.items() if model.compress]

    def untrained_models(self) -> list[str]:
        """Return the names of the models that the study trains from scratch."""
        return [name for name, model in self.models.items() if model.untrained is not None]

    @property
    def training_start(self) -> Stage:
        """The stage from which recovery and distillation start."""
        return PRUNED if self.compensation is None else COMPENSATED

    @property
    def refinement_start(self) -> Stage:
        """The stage from which refinement starts: the last training before it, if there is one."""
        if self.distillation:
            return DISTILLED
        return RECOVERED if self.recovery else self.training_start

    @property
    def final_dataset(self) -> str | None:
        """The downstream dataset if there is exactly one, otherwise None."""
        names = self.downstream.datasets if self.downstream else []
        return names[0] if len(names) == 1 else None

    def plans(self) -> dict[str, Recipe]:
        """Return every plan of the sweep: name -> recipe."""
        return recipes(self.sweep)

    def stages(self) -> list[Stage]:
        """Return the stages of the trained plans, in order."""
        stages = [PRUNED]
        if self.compensation:
            stages.append(COMPENSATED)
        if self.recovery:
            stages.append(RECOVERED)
        if self.distillation:
            stages.append(DISTILLED)
        if self.refinement:
            stages.append(REFINED)
        if self.quantization:
            bits = self.quantization.bits
            stages += [Stage(base, bits=bits) for base in self.quantization.stages]
        if self.export:
            dtypes = self.export.dtypes
            stages += [Stage(base, dtype=d) for base in self.export.stages for d in dtypes]
        return stages

    def final_stage(self, dataset: str) -> tuple[Stage, bool]:
        """Return the stage that a trained plan ends at for the structures of a dataset.

        Returns:
            The stage, and whether it is then fine-tuned on the dataset, as on a downstream one.
        """
        if self.downstream is not None and dataset in self.downstream.datasets:
            return Stage(self.downstream.stage), True
        return [stage for stage in self.stages() if not stage.is_converted][-1], False

    def stages_of(self, plan: str) -> list[Stage]:
        """Return the stages of a plan: only trained plans have stages after pruning."""
        return self.stages() if plan in self.train_plans else [PRUNED]

    @model_validator(mode="after")
    def _references(self) -> "Config":
        for mistake in name_mistakes(self):
            raise ValueError(mistake)
        for where, name in self._dataset_references():
            if name not in self.datasets:
                raise ValueError(f"{where}: no dataset {name!r}; {nearest(name, self.datasets)}")
        self._check_origins()
        self._check_splits()
        self._check_labels()
        if not self.compressed_models():
            raise ValueError("models: none is compressed; remove compress: false from one")
        plans = self.plans()
        for name in self.train_plans:
            if name not in plans:
                raise ValueError(f"train_plans: no plan {name!r}; {nearest(name, plans)}")
            cutoff = plans[name].cutoff
            for section in ("distillation", "refinement"):
                settings = getattr(self, section)
                if cutoff is not None and settings and settings.features > 0:
                    raise ValueError(
                        f"{section}.features: plan {name!r} shortens the cutoff to {cutoff:g} Å, "
                        "with which the parent's features cannot be computed; set features to 0"
                    )
        if len({f"{b:.2f}" for b in self.sweep.budgets}) != len(self.sweep.budgets):
            raise ValueError("sweep.budgets: two budgets are the same to two decimals")
        if "iterated" in self.sweep.allocations and "random" in self.sweep.criteria:
            raise ValueError(
                "sweep.allocations: 'iterated' scores a model again as it shrinks, which is "
                "meaningless for the criterion 'random'; remove one of them"
            )
        stages = [stage.name for stage in self.stages()]
        for section in ("quantization", "export", "deploy"):
            for stage in getattr(getattr(self, section), "stages", []):
                if stage not in stages:
                    raise ValueError(f"{section}.stages: {stage!r} is not computed; configure it")
        for target in self.deploy.targets if self.deploy else ():
            for name in self.compressed_models():
                if (family := self.models[name].family) not in FAMILIES[target]:
                    known = " and ".join(FAMILIES[target])
                    raise ValueError(
                        f"deploy.targets: {target} takes models of {known}, and models.{name} is "
                        f"of {family}; remove {target}"
                    )
        # The family's own code runs every family; a name that is none has a message of its own.
        timed = self.compressed_models() if self.sweep.runtime != "native" else ()
        for name in timed:
            if (family := self.models[name].family) not in FAMILIES[self.sweep.runtime]:
                known = " and ".join(FAMILIES[self.sweep.runtime])
                raise ValueError(
                    f"sweep.runtime: {self.sweep.runtime} runs models of {known}, and "
                    f"models.{name} is of {family}; remove runtime, or choose another"
                )
        if self.downstream and self.downstream.stage not in stages:
            raise ValueError(
                f"downstream.stage: {self.downstream.stage!r} is not computed; configure it"
            )
        return self

    def _check_origins(self) -> None:
        """Check that every dataset is made from existing ones, and not from itself."""
        for name, dataset in self.datasets.items():
            for origin in origins(dataset):
                if origin not in self.datasets:
                    others = self.datasets.keys() - {name}
                    raise ValueError(
                        f"datasets.{name}.of: no dataset {origin!r}; {nearest(origin, others)}"
                    )
        for name, dataset in self.datasets.items():
            reached, found = set[str](), origins(dataset)
            while found:
                if name in found:
                    raise ValueError(
                        f"datasets.{name}.of: {name!r} would be made from itself; give the dataset "
                        "that the structures come from"
                    )
                reached |= set(found)
                found = [n for o in found for n in origins(self.datasets[o]) if n not in reached]

    def _check_splits(self) -> None:
        """Check that datasets without a test split test nothing."""
        tested = [("evaluation.dataset", self.evaluation.dataset)]
        tested += [("downstream.datasets", n) for n in getattr(self.downstream, "datasets", [])]
        tested += self._dynamics_references()
        for where, name in tested:
            if "test" not in parts_of(self.datasets, name):
                made_from = origins(self.datasets[name])
                while made_from and "test" not in parts_of(self.datasets, made_from[0]):
                    made_from = origins(self.datasets[made_from[0]])
                raise ValueError(
                    f"{where}: {name!r} has no test split, because perturbed structures are only "
                    f"used for training; use its source, {made_from[0]!r}"
                )

    def _check_labels(self) -> None:
        """Check that labels are not mixed, and that they are there where they are needed."""
        for joined in self.datasets:
            if (mistake := mixed_labels(self.datasets, joined)) is not None:
                raise ValueError(
                    f"datasets.{joined}.of: {mistake}; join datasets labelled by one model or of "
                    "one level of theory, or give all of them labels by the same model"
                )
        needed = [("recovery.dataset", self.recovery.dataset)] if self.recovery else []
        needed += [("downstream.datasets", n) for n in getattr(self.downstream, "datasets", [])]
        needed += [
            (f"models.{name}.training.dataset", model.training.dataset)
            for name, model in self.models.items()
            if model.training
        ]
        if self.distillation and self.distillation.label_fraction > 0:
            needed.append(("distillation.label_fraction", self.distillation.dataset))
        if "taylor" in self.sweep.criteria:
            needed.append(("sweep.criteria: taylor", self.scoring.dataset))
        for where, name in needed:
            if name is not None and lacks_labels(self.datasets, name):
                raise ValueError(
                    f"{where}: {name!r} has no labels, which this needs; give a model that labels "
                    f"it under datasets.{name}.labels, or choose what needs none (the criterion "
                    "fisher, distillation with label_fraction: 0)"
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
                    raise ValueError(f"{where}: give the dataset to train on")
                references.append((where, model.training.dataset))
        if self.compensation:
            references.append(("compensation.dataset", self.compensation.dataset))
        references += [
            (f"models.{name}.restrict_to", model.restrict_to)
            for name, model in self.models.items()
            if model.restrict_to is not None
        ]
        if self.validation:
            references.append(("validation.dataset", self.validation.dataset))
        if self.deploy and self.deploy.dataset is not None:
            references.append(("deploy.dataset", self.deploy.dataset))
        for section in ("recovery", "distillation", "refinement"):
            training = getattr(self, section)
            if training:
                if training.dataset is None:
                    raise ValueError(f"{section}.dataset: give the dataset to train on")
                references.append((f"{section}.dataset", training.dataset))
        if self.refinement:
            references.append(("refinement.of", self.refinement.of))
        if self.downstream:
            references += [("downstream.datasets", name) for name in self.downstream.datasets]
        return [*references, *self._dynamics_references()]

    def _dynamics_references(self) -> list[tuple[str, str]]:
        dynamics = self.evaluation.dynamics
        return [("evaluation.dynamics.datasets", n) for n in dynamics.datasets] if dynamics else []
