"""A potential: a loaded model, how it came about, and what can be done with it."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import torch
from ase.calculators.calculator import Calculator
from ase.data import chemical_symbols

from irrepress.api.comparison import Comparison
from irrepress.api.deploying import Deployed, deploy_potential
from irrepress.api.frames import AnyPath, Frames, FramesLike, read
from irrepress.api.judging import Part, Subject, compare
from irrepress.api.pruning import Pruning
from irrepress.api.refining import refined
from irrepress.api.sampling import sample
from irrepress.api.showing import Shown, Table, count, one_line, themed
from irrepress.api.targets import name_of, out_of_reach, settings_of
from irrepress.api.validation import Proof, validate_potential
from irrepress.api.working import told_when_stopped
from irrepress.core.errors import UserError, nearest
from irrepress.core.files import refuse_existing, sha256
from irrepress.core.groups import widths_of
from irrepress.core.model import Model
from irrepress.core.plan import Plan
from irrepress.core.section import make_section
from irrepress.data.checks import check_elements
from irrepress.data.store import StructureStore
from irrepress.deploy.runtimes import check_runtime
from irrepress.evaluation.alignment import Setting
from irrepress.evaluation.labeller import Labeller
from irrepress.evaluation.shapes import make_time_table
from irrepress.pruning.budget import Costs, OutOfReach, summarize
from irrepress.pruning.calibration import Calibration
from irrepress.pruning.config import Allocation, Axes, Compensation, Criterion, Runtime
from irrepress.pruning.latency import TimeTable
from irrepress.pruning.scores import Scores
from irrepress.pruning.scoring import compute_scores
from irrepress.quantization.packing import pack, unpack
from irrepress.report import theme
from irrepress.report.figures.curves import TRAINING_QUANTITIES, Curve, curves_figure
from irrepress.study.cards import Card, card_path, versions
from irrepress.study.plan_target import Target
from irrepress.study.planning import Planning
from irrepress.study.steps import (
    Stage,
    begin_fine_tuning,
    compensate_on,
    distillation_options,
    labels_by,
    pruned_stage,
    teach,
    trained_stage,
)
from irrepress.training.config import Distillation, Refinement, Training
from irrepress.training.features import FeatureGuide
from irrepress.training.lock import locked
from irrepress.training.trainer import train

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Criteria that need no structures.
_WITHOUT_FRAMES = ("magnitude", "random")
# The least number of structures that some can be held out of.
_LEAST_CALIBRATION = 3


class Potential(Shown):
    """A loaded model, how it came about, and what can be done with it.

    `irrepress.load` makes one. Every step returns a new one and leaves this one as it is; all that
    is computed runs where the model is.

    Attributes:
        model: the model itself.
        name: what it is called.
        origin: the card of the file that it, or what it was made from, was loaded from.
        applied: the plan that it was pruned by; None: it was not pruned.
        fits: the fits of its compensation, a row for each map and irrep, if that came last.
        training: its training curve, a row for each validation, if it was trained last.

    Example:
        >>> import irrepress
        >>> from ase.build import bulk
        >>> model = irrepress.load("7net-0")
        >>> frames = [bulk("Si"), bulk("Ge"), bulk("C"), bulk("Cu"), bulk("Al"), bulk("Ag")]
        >>> small = model.plan(frames, flops=0.5, structures=2).apply().compensate(frames)
        >>> [stage["stage"] for stage in small.card.stages]
        ['pruned', 'compensated']
    """

    def __init__(
        self,
        model: Model,
        origin: Card,
        *,
        name: str,
        stages: Sequence[tuple[Stage, int]] = (),
        parent: Potential | Callable[[], Potential] | None = None,
        plan: Plan | None = None,
        summary: Mapping[str, Any] | None = None,
        fits: pd.DataFrame | None = None,
        training: pd.DataFrame | None = None,
    ):
        """Take a model; use `irrepress.load`.

        Args:
            model: the model, on its device.
            origin: see the class.
            name: see the class.
            stages: what was done since, each with its seed.
            parent: the potential that was pruned, or what loads it.
            plan: the plan that it was pruned by.
            summary: what the plan keeps, for readers.
            fits: see the class.
            training: see the class.
        """
        self.model = model
        self.name = name
        self.applied = plan
        self.fits = fits
        self.training = training
        self.origin = origin
        self._since = tuple(stages)
        self._parent = parent
        self._summary = dict(summary or {})
        self._scores: dict[str, Scores] = {}
        self._times: dict[str, TimeTable] = {}

    @property
    def parent(self) -> Potential | None:
        """The potential that was pruned; None for one that was not.

        Raises:
            UserError: it was pruned by another process, and its parent is not to be found.
        """
        if callable(self._parent):
            self._parent = self._parent()
        return self._parent

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    @property
    def card(self) -> Card:
        """How the potential came about: what `save` writes beside it."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.pt"
            self.model.save(path)
            return self._card_of(path)

    def plan(
        self,
        frames: FramesLike | None = None,
        *,
        speedup: float | None = None,
        flops: float | None = None,
        parameters: float | None = None,
        blocks: float | None = None,
        irreps: str | Sequence[str] | None = None,
        filter_lmax: int | None = None,
        widths: Mapping[str, int] | None = None,
        cutoff: float | None = None,
        layers: Literal["auto"] | int | Sequence[int] | None = None,
        runtime: Runtime = "native",
        criterion: Criterion = "fisher",
        axes: Axes = "both",
        allocation: Allocation = "greedy",
        seed: int = 0,
        **settings: Any,
    ) -> Pruning:
        """Choose what stays, towards one target; nothing is changed yet.

        Scores are kept: another plan on the same frames costs little.

        Args:
            frames: structures that blocks are scored on, with labels or without; those of the
                train part are taken. None: only for criteria that need none.
            speedup: how many times as fast, for energy, forces and stress in ``runtime``. Shapes of
                the model are timed on this machine first, which takes minutes.
            flops: the fraction of the operations that may stay.
            parameters: the fraction of the parameters that may stay.
            blocks: the fraction of the irreps blocks that may stay.
            irreps: irreps of the node features, such as ``64x0e+32x1e``, one text or one a layer,
                or the name of an official shape.
            filter_lmax: the highest order of the filter.
            widths: further numbers of channels, by the names that ``irrepress inspect`` lists.
            cutoff: a shorter cutoff in Å, beside a target or as the only one.
            layers: how many message-passing layers to keep, or which, counted from 0; beside a
                target or as the only one. ``auto``: as many as suit a budget.
            runtime: what the time of a speed-up is measured in, this potential's and the smaller
                ones': ``native``, the family's own code; ``torchscript`` or ``symmetrix``, as
                `deploy` writes them. With ``symmetrix`` plans keep to what it takes.
            criterion: what blocks are scored by; ``taylor`` and ``hessian`` follow labels.
            axes: ``channels`` keeps every order.
            allocation: how a budget is spread over layers and orders.
            seed: seed for everything random.
            **settings: what a config may say beside: ``structures``, ``batch_size``, ``probes``
                and ``weights`` of the scores; ``normalization``, ``multiple``, ``floor`` and
                ``step`` of the plan; ``timed_shapes``, ``timing_atoms`` and ``timing_repeats``.

        Raises:
            UserError: no target or several, one that cannot be reached (the message says what
                can), or frames that do not serve.
        """
        target = Target.of(
            {"speedup": speedup, "flops": flops, "parameters": parameters, "blocks": blocks},
            irreps=irreps,
            filter_lmax=filter_lmax,
            widths=dict(widths or {}),
            cutoff=cutoff,
            layers=layers,
            runtime=runtime,
            said="arguments",
        )
        recipe = target.recipe(criterion, axes, allocation)
        scoring, sweep, timing = settings_of(settings)
        sweep = sweep.model_copy(update={"unit": target.unit, "runtime": target.runtime})
        if runtime != "native":
            check_runtime(self.model, runtime, f"plan: runtime={runtime!r}")
        if recipe.cutoff is not None:
            self.model.check_cutoff(recipe.cutoff)
        calibration = None
        if frames is not None:
            chosen = self._frames(frames)
            calibration = Calibration(
                chosen.store, scoring.model_copy(update={"dataset": chosen.name}), seed
            )
        elif criterion not in _WITHOUT_FRAMES or recipe.in_rounds:
            raise UserError(
                f"plan: the criterion {criterion!r} with allocation {allocation!r} needs frames, "
                "labelled or not; give some, or take criterion='magnitude'"
            )
        times = None
        if sweep.unit == "time":
            times = self._timed(
                shapes=sweep.timed_shapes,
                seed=seed,
                atoms=timing.timing_atoms,
                repeats=timing.timing_repeats,
                runtime=sweep.runtime,
            )
        scores = self._scored(calibration, recipe.criterion, seed)
        planning = Planning(self.model, recipe, sweep, scores, times)
        try:
            plan = planning.plan(calibration)
        except OutOfReach as error:
            raise out_of_reach(target, recipe, error, sweep) from None
        return Pruning(self, name_of(target, recipe), plan, scores, planning.summary(plan), seed)

    def prune(
        self,
        plan: Plan | AnyPath,
        *,
        name: str = "plan",
        summary: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> Potential:
        """Return the smaller potential that a plan describes; nothing is fitted or trained.

        Args:
            plan: the plan, or the path of its file.
            name: what the plan is called.
            summary: what it keeps, for readers; None: it is worked out.
            seed: the seed that the card records.

        Raises:
            UserError: the plan belongs to another model.
        """
        if not isinstance(plan, Plan):
            plan = Plan.load(plan)
        groups = self.model.with_layers(plan.layers).groups()
        plan.check(groups)
        if plan.cutoff is not None:
            self.model.check_cutoff(plan.cutoff)
        if summary is None:
            costs = Costs.of(self.model, None, plan.cutoff, plan.layers)
            unpruned = Costs.of(self.model)
            summary = summarize(plan, groups, costs, unpruned, self.model.groups())
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "plan.json"
            plan.save(path, summary)
            stage = pruned_stage(plan, name, sha256(path))
        return Potential(
            self.model.narrow(plan),
            self.origin,
            name=f"{self.name}/{name}/pruned",
            stages=[*self._since, (stage, seed)],
            parent=self,
            plan=plan,
            summary=summary,
        )

    def compensate(self, frames: FramesLike, *, seed: int = 0, **settings: Any) -> Potential:
        """Fit the kept weights to the parent's features, in closed form; labels are not read.

        Args:
            frames: structures; those of the train part are taken.
            seed: seed for everything random.
            **settings: what a config may say: ``structures``, ``batch_size``,
                ``derivative_weight`` and ``displacement``.

        Raises:
            UserError: the potential was not pruned, or not pruned last, or there are too few
                structures.
        """
        parent, plan = self._pruned_from("compensate")
        last = self._history[-1]["stage"]
        if last != "pruned":
            raise UserError(
                f"compensate: it follows pruning, but this potential was {last} since; compensate "
                "first"
            )
        chosen = self._frames(frames)
        given = make_section(Compensation, "compensate", {"dataset": chosen.name, **settings})
        if (number := len(chosen.store.require("train"))) < _LEAST_CALIBRATION:
            raise UserError(
                f"compensate: {count(number, 'structure')} of {chosen.name} cannot be divided into "
                f"those to fit to and those to check on; give {_LEAST_CALIBRATION} or more"
            )
        model = copy.deepcopy(self.model)
        with tempfile.TemporaryDirectory(prefix="irrepress-") as folder:
            fits, stage = compensate_on(
                parent.model, model, plan, chosen.store, given, seed=seed, work_dir=Path(folder)
            )
        table = pd.DataFrame(map(asdict, fits))
        return self._made(model, {**stage, "data_sha256": chosen.identity}, seed, fits=table)

    def finetune(
        self,
        frames: FramesLike,
        *,
        steps: int = 2000,
        restrict_elements: bool = True,
        seed: int = 0,
        work_dir: AnyPath | None = None,
        **settings: Any,
    ) -> Potential:
        """Train on the labels of frames; the weights that are best on the valid part stay.

        Energies may be of another level of theory: a constant for every element is fitted first.

        Args:
            frames: structures with labels.
            steps: optimizer steps.
            restrict_elements: whether the potential keeps the elements of the frames alone, which
                loses nothing on them, where its family can leave elements out.
            seed: seed for everything random.
            work_dir: folder for checkpoints, from which the same call goes on if it was
                interrupted; None: there are none, and an interruption loses the training.
            **settings: what a config may say of a training: ``batch_size``, ``learning_rate``,
                ``validate_every``, ``patience``, ``max_atoms``, ``precision``, ``weights``, ...

        Raises:
            UserError: there are no labels, too few structures, or the training failed.
        """
        chosen = self._frames(frames)
        given = make_section(Training, "finetune", {"steps": steps, **settings})
        self._check_training("finetune", chosen)
        labels = chosen.labels
        if not (labels.energy or labels.forces or labels.stress):
            raise UserError(
                f"finetune: {chosen.name} has no labels ({labels}); name their keys (keys=... of "
                "irrepress.read), label the structures, or take distill, where the parent labels"
            )
        model, begun = begin_fine_tuning(
            copy.deepcopy(self.model),
            chosen.store,
            f"dataset {chosen.name}",
            restrict_elements=restrict_elements,
        )
        stage = {"stage": "finetuned", **begun}
        return self._trained(model, chosen, given, stage, seed, work_dir)

    def distill(
        self,
        frames: FramesLike,
        *,
        steps: int = 2000,
        label_fraction: float = 0.0,
        features: float = 0.0,
        seed: int = 0,
        work_dir: AnyPath | None = None,
        **settings: Any,
    ) -> Potential:
        """Train on what the parent says of frames; the weights best on the valid part stay.

        Args:
            frames: structures; labels are read if they have a weight.
            steps: optimizer steps.
            label_fraction: weight of the labels of the frames beside the parent's.
            features: weight of how far the features of all layers are from the parent's.
            seed: seed for everything random.
            work_dir: see `finetune`.
            **settings: see `finetune`; and ``atomic_energies``, ``hessian_rows`` and
                ``hessian_weight``, further targets that the parent computes before training.

        Raises:
            UserError: the potential was not pruned, there are too few structures, or the training
                failed.
        """
        parent, plan = self._pruned_from("distill")
        chosen = self._frames(frames)
        asked = {"steps": steps, "label_fraction": label_fraction, "features": features}
        given = make_section(Distillation, "distill", asked | settings)
        self._check_training("distill", chosen)
        guide = FeatureGuide(parent.model, plan) if given.features > 0 else None
        with tempfile.TemporaryDirectory(prefix="irrepress-") as folder:
            path = Path(folder) / chosen.store.path.name
            card = parent.origin
            labels = labels_by(card.family, card.checkpoint, card.modal)
            teach(
                Labeller(parent.model, labels),
                chosen.store,
                path,
                parts=("train", "valid"),
                seed=seed,
            )
            options = distillation_options(
                given, chosen.store, StructureStore(path), guide, parent.model
            )
            stage = {"stage": "distilled", "label_fraction": given.label_fraction}
            model = copy.deepcopy(self.model)
            return self._trained(model, chosen, given, stage, seed, work_dir, **options)

    def sample(
        self,
        structures: FramesLike,
        *,
        temperatures: Sequence[float] = (300.0,),
        pressure: float | None = None,
        runs: int = 12,
        count: int = 96,
        seed: int = 0,
        **settings: Any,
    ) -> Frames:
        """Run molecular dynamics from structures, and return frames with the potential's labels.

        They are what a smaller potential can be made with where there are no labels: runs are kept
        apart in train, valid and test parts.

        Args:
            structures: what runs start from; labels are not read.
            temperatures: in K, up to the highest that the potential is for.
            pressure: in GPa, at which the cell may change; None: constant cells.
            runs: number of runs, each in a cell that is strained at random.
            count: number of frames that are kept, those that differ most.
            seed: seed for everything random.
            **settings: what a config may say beside: ``atoms``, ``strain``, ``timestep``,
                ``equilibration``, ``steps``, ``keep``, ``relax`` and ``split``.

        Raises:
            UserError: an unknown element or setting, or all runs at a temperature break.

        Example:
            >>> from ase.build import bulk
            >>> import irrepress
            >>> model = irrepress.load("7net-0")
            >>> less = {"runs": 3, "count": 6, "atoms": 2, "equilibration": 1, "steps": 4}
            >>> len(model.sample(bulk("Si"), temperatures=[300], **less))
            6
        """
        chosen = self._frames(structures)
        asked = {"temperatures": list(temperatures), "pressure": pressure}
        asked |= {"runs": runs, "count": count}
        return sample(self.model, self.origin, chosen, asked | settings, seed)

    def refine(
        self,
        frames: FramesLike,
        *,
        temperatures: Sequence[float],
        starts: FramesLike | None = None,
        rounds: int = 3,
        added: int = 32,
        seed: int = 0,
        work_dir: AnyPath | None = None,
        **settings: Any,
    ) -> Potential:
        """Run dynamics, let the parent label the frames, train on those that are wrong; repeat.

        It ends after ``rounds``, or once the error on new dynamics no longer falls. The card holds
        these errors for every round.

        Args:
            frames: structures to train on, beside those of the dynamics; labels are not read.
            temperatures: temperatures of the dynamics in K.
            starts: structures that dynamics start from; None: the train and valid parts of frames.
            rounds: maximum number of rounds.
            added: maximum number of frames that a round adds.
            seed: seed for everything random.
            work_dir: see `finetune`.
            **settings: what a config may say of a refinement: ``runs``, ``threshold``,
                ``dynamics_steps``, ``minutes``, ``steps``, ``learning_rate``, ...

        Raises:
            UserError: the potential was not pruned, there are too few structures, or the training
                failed.
        """
        parent, plan = self._pruned_from("refine")
        chosen = self._frames(frames)
        begun = chosen if starts is None else self._frames(starts)
        asked = {"of": begun.name, "temperatures": list(temperatures), "rounds": rounds}
        given = make_section(Refinement, "refine", {**asked, "frames": added, **settings})
        self._check_training("refine", chosen)
        card = parent.origin
        result, rows, stage = refined(
            self.model,
            parent.model,
            plan,
            chosen,
            begun,
            given,
            labels=labels_by(card.family, card.checkpoint, card.modal),
            seed=seed,
            work_dir=work_dir,
        )
        return self._made(result.model.to(self.device), stage, seed, training=rows)

    def quantize(self, bits: int = 8) -> Potential:
        """Return the potential with path and radial weights rounded to 8 or 4 bits.

        Its file stays as large; `pack` writes one in as many bits.

        Raises:
            UserError: other bits.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "packed.pt"
            pack(self.model, path, bits=bits)
            model = unpack(self.model.family, path).to(self.device)
        last = self._history[-1]["stage"] if self._history else "original"
        return self._made(model, {"stage": f"int{bits}", "of": last, "bits": bits}, 0)

    def pack(self, path: AnyPath, *, bits: int = 8, overwrite: bool = False) -> None:
        """Write a small file with weights in few bits; ``irrepress unpack`` brings it back.

        Raises:
            UserError: the file exists and is not to be overwritten, or other bits than 8 and 4.
        """
        refuse_existing(path, overwrite)
        pack(self.model, Path(path), bits=bits)

    def evaluate(
        self,
        frames: FramesLike,
        *,
        part: Part = "auto",
        alignment: Setting = "auto",
        batch_size: int = 8,
    ) -> Comparison:
        """Measure errors against labels, beside the parent's, and against the parent itself.

        Args:
            frames: structures, with labels or without.
            part: which of them: ``auto`` takes the test part if the potential was fitted to or
                trained on the others, else all.
            alignment: whether constants per element are taken out between energies of labels and
                parent; ``auto``: where it is beyond doubt.
            batch_size: structures per forward pass.

        Raises:
            UserError: an unknown element, an empty part, or neither labels nor a parent.
        """
        parent = self.parent
        others = [] if parent is None else [parent._subject()]
        return compare(
            [self._subject(descends=True), *others],
            self._frames(frames),
            part,
            alignment=alignment,
            batch_size=batch_size,
        )

    def compare(
        self,
        other: Potential,
        frames: FramesLike,
        *,
        part: Part = "auto",
        alignment: Setting = "auto",
        batch_size: int = 8,
        timing_atoms: int = 64,
        timing_repeats: int = 5,
        runtime: Runtime = "native",
    ) -> Comparison:
        """Put this potential beside another one: errors, parameters, operations and time.

        Args:
            other: what it is compared with, such as its parent or an official smaller one.
            frames: see `evaluate`.
            part: see `evaluate`.
            alignment: see `evaluate`.
            batch_size: see `evaluate`.
            timing_atoms: size of the crystal that is timed.
            timing_repeats: least number of rounds.
            runtime: what both are timed in; see `plan`.

        Raises:
            UserError: see `evaluate`; or the runtime does not take one of the models.
        """
        for model in (self.model, other.model) if runtime != "native" else ():
            check_runtime(model, runtime, f"compare: runtime={runtime!r}")
        return compare(
            [self._subject(descends=self._descends_from(other)), other._subject()],
            self._frames(frames),
            part,
            alignment=alignment,
            batch_size=batch_size,
            timing=(timing_atoms, timing_repeats),
            runtime=runtime,
        )

    def validate(
        self,
        structures: FramesLike,
        *,
        temperatures: Sequence[float] = (300.0,),
        against: Potential | None = None,
        seed: int = 0,
        work_dir: AnyPath | None = None,
        **settings: Any,
    ) -> Proof:
        """Measure what users do with a potential beside its parent: dynamics, crystals, curves.

        Args:
            structures: what is measured on; labels are not needed.
            temperatures: of dynamics, in K.
            against: what it is compared with; None: its parent.
            seed: seed for velocities and thermostats.
            work_dir: folder for ``validation.json`` and the parent's values, from which the same
                call goes on if it was interrupted; None: they are not kept.
            **settings: what a config may say of a validation: ``minutes``, ``parent_minutes``,
                ``picoseconds``, ``structures``, ``atoms``, ``tolerances``, ...

        Raises:
            UserError: no parent, an unknown element, or settings out of their bounds.
        """
        return validate_potential(
            self,
            structures,
            against=against,
            temperatures=temperatures,
            seed=seed,
            work_dir=work_dir,
            settings=settings,
        )

    def deploy(
        self,
        to: str,
        out: AnyPath,
        *,
        check: FramesLike | None = None,
        against: Potential | None = None,
        lammps: str | None = None,
        overwrite: bool = False,
        **settings: Any,
    ) -> Deployed:
        """Write the potential in the form of a runtime, with its proof and its times.

        The folder holds the model's file, a script or an input that runs it, golden energies,
        forces and stress with ``check.py``, which compares them where the model is installed, the
        card, and times against the number of atoms beside the parent's in the same runtime.

        Args:
            to: ``native``, ``torchscript``, ``lammps``, ``mliap``, ``symmetrix`` or ``torch-sim``.
            out: the folder to make.
            check: structures that the model is checked on, of which the first crystal is timed;
                None: a few of its elements are made.
            against: what it is timed beside; None: its parent, if it was pruned.
            lammps: command of a LAMMPS with the pair style; None: ``lmp``, if it has it.
            overwrite: whether a folder that is there is replaced.
            **settings: what a config may say of a deployment: ``structures``, ``largest`` (number
                of atoms), ``minutes`` (0: no times), ``own_form`` and ``cuequivariance``.

        Raises:
            UserError: the runtime does not take the model, a package is missing, or the model does
                not compute there what it computes in its family's own code.
        """
        return deploy_potential(
            self,
            to,
            out,
            check=check,
            against=against,
            lammps=lammps,
            overwrite=overwrite,
            settings=settings,
        )

    def save(self, path: AnyPath, *, overwrite: bool = False) -> None:
        """Write the model in its family's own format, and its card and plan beside it.

        ``small.pt`` has ``small.card.json`` and, if it was pruned, ``small.plan.json``, with which
        `irrepress.load` goes on from here.

        Raises:
            UserError: the file exists, and it is not to be overwritten; or it cannot be written.
        """
        path = Path(path)
        refuse_existing(path, overwrite)
        self.model.save(path)
        self._card_of(path).save(card_path(path))
        if self.applied is not None:
            self.applied.save(plan_path(path), self._summary)

    def calculator(self) -> Calculator:
        """Return the family's own ASE calculator, on the potential's device."""
        model = self.model
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.pt"
            model.save(path)
            return model.family.calculator(path, device=str(model.device), modal=model.modal)

    def plot(self, quantity: str = "forces MAE") -> go.Figure:
        """Return the training curve, if the potential was trained last.

        Args:
            quantity: forces MAE, energy MAE, validation loss or training loss.

        Raises:
            UserError: it was not trained last, or there is no such quantity.
        """
        if self.training is None:
            raise UserError(f"plot: {self.name} was not trained last, so there is no curve to draw")
        if quantity not in TRAINING_QUANTITIES:
            raise UserError(f"plot: {nearest(quantity, TRAINING_QUANTITIES)}")
        column, factor, title = TRAINING_QUANTITIES[quantity]
        curve = Curve(self.name, self.training, theme.BLUE)
        return themed(curves_figure([curve], column, factor, title.format("")))

    def _table(self) -> Table:
        return Table(self.name, self._rows())

    def _rows(self) -> list[tuple[str, str]]:
        model, shape = self.model, self.model.shape()
        symbols = [chemical_symbols[z] for z in model.elements]
        elements = ", ".join(symbols) if len(symbols) <= 10 else f"{len(symbols)} of them"
        flops = model.cost_model()(widths_of(model.groups())).flops
        rows = [
            ("family", model.family.name + (f", {model.modal}" if model.modal else "")),
            ("irreps", one_line(shape["irreps"])),
            ("cutoff", f"{model.cutoff:g} Å"),
            ("elements", elements),
            ("parameters", f"{model.parameter_count():,}"),
            ("FLOPs per atom", f"{flops:.3g}"),
            ("device", f"{model.device}, {str(model.dtype).removeprefix('torch.')}"),
        ]
        if self._history:
            rows.append(("made by", ", ".join(str(stage["stage"]) for stage in self._history)))
        return rows

    @property
    def _history(self) -> list[Stage]:
        """What was done to the potential, in order."""
        return [*self.origin.stages, *(stage for stage, _ in self._since)]

    def _subject(self, *, descends: bool = False) -> Subject:
        return Subject(self.name, self.model, self._history, descends)

    def _descends_from(self, other: Potential) -> bool:
        return other.origin.parent_sha256 == self.origin.parent_sha256 and not other._history

    def _made(self, model: Model, stage: Stage, seed: int, **outcome: Any) -> Potential:
        """Return the potential that a step made of this one."""
        base = self.name if self.applied is None else self.name.rpartition("/")[0]
        return Potential(
            model,
            self.origin,
            name=f"{base}/{stage['stage']}",
            stages=[*self._since, (stage, seed)],
            parent=self._parent,
            plan=self.applied,
            summary=self._summary,
            **outcome,
        )

    def _card_of(self, path: Path) -> Card:
        """Return the card of the potential as it lies in a file."""
        model, card = self.model, self.origin
        shape, parameters = model.shape(), model.parameter_count()
        if not self._since:
            return card.model_copy(update={"sha256": sha256(path)})
        for stage, seed in self._since:
            card = card.derive(
                path,
                name=self.name,
                shape=shape,
                parameters=parameters,
                stage=stage,
                seed=seed,
            )
        return card

    def _frames(self, frames: FramesLike) -> Frames:
        """Return frames that the model is to work on."""
        chosen = read(frames)
        check_elements(chosen.store.elements, self.model.elements, f"{chosen.name} and {self.name}")
        return chosen

    def _pruned_from(self, step: str) -> tuple[Potential, Plan]:
        """Return the parent, and the plan that it was pruned by."""
        parent = self.parent
        if parent is None or self.applied is None:
            raise UserError(
                f"{step}: {self.name} was not pruned, or the plan of its pruning is not beside it; "
                "prune it first (plan(...).apply())"
            )
        return parent, self.applied

    def _scored(self, calibration: Calibration | None, criterion: str, seed: int) -> Scores:
        """Return scores by a criterion, those of an earlier call if they are the same."""
        what = {} if calibration is None else calibration.settings.model_dump(mode="json")
        data = "" if calibration is None else str(calibration.store.path)
        key = json.dumps([criterion, seed, data, what])
        if key not in self._scores:
            if calibration is None:
                scores = compute_scores(self.model, [], criteria=[criterion], seed=seed)
                dataset = labels = ""
            else:
                scores = calibration.score(self.model, [criterion])
                dataset, labels = calibration.settings.dataset, calibration.store.info.labels
            scores.provenance.update(
                parent_sha256=self.origin.parent_sha256,
                dataset=dataset,
                labels=labels,
                seed=seed,
                versions=json.dumps(versions()),
            )
            self._scores[key] = scores
        return self._scores[key]

    def _timed(self, **options: Any) -> TimeTable:
        """Return times of shapes of the model, those of an earlier call if they are the same."""
        key = json.dumps(options)
        if key not in self._times:
            self._times[key] = make_time_table(self.model, versions=versions(), **options)
        return self._times[key]

    def _check_training(self, step: str, frames: Frames) -> None:
        for part in ("train", "valid"):
            if not len(frames.store.splits[part]):
                number = count(len(frames), "structure")
                raise UserError(
                    f"{step}: {frames.name} has no {part} part, since {number} could not be "
                    "divided; give more structures that are no siblings, or say which are which "
                    "by irrepress.read(..., valid=..., split=...)"
                )

    def _trained(
        self,
        model: Model,
        frames: Frames,
        settings: Training,
        stage: Stage,
        seed: int,
        work_dir: AnyPath | None,
        **options: Any,
    ) -> Potential:
        """Train a model, which may be changed, and return the potential that it becomes."""
        with tempfile.TemporaryDirectory(prefix="irrepress-") as folder:
            checkpoints, curve = Path(work_dir or folder), Path(folder) / "training.csv"
            with told_when_stopped("training", work_dir), locked(checkpoints):
                result = train(
                    model.to("cpu"),
                    frames.store,
                    settings,
                    seed=seed,
                    device=str(self.device),
                    work_dir=checkpoints,
                    metrics_csv=curve,
                    **options,
                )
            rows = pd.read_csv(curve)
        stage = stage | trained_stage(result, frames.store, settings, seed)
        stage |= {"dataset": frames.name, "data_sha256": frames.identity}
        return self._made(result.model.to(self.device), stage, seed, training=rows)


def plan_path(model: str | Path) -> Path:
    """Return where the plan of a pruned model is written: beside it.

    >>> plan_path("small.pt").name
    'small.plan.json'
    """
    return Path(model).with_suffix(".plan.json")
