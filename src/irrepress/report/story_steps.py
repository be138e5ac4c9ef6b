"""The steps of a study's story in sentences, each from its records."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from irrepress.evaluation.physics.records import MeasuredDynamics
from irrepress.evaluation.records import MeasuredCost
from irrepress.report import tables
from irrepress.report.study import Run, Study, TaskRun
from irrepress.report.text import comparison, listing, number, plural, seconds
from irrepress.study.cards import UNKNOWN_LEVEL
from irrepress.study.recipes import Recipe
from irrepress.study.stages import COMPENSATED, DISTILLED, PRUNED, RECOVERED, REFINED


@dataclass(frozen=True)
class Step:
    """One step of the story."""

    title: str
    sentences: list[str]


def reference_of(run: Run) -> str:
    """Return the reference of errors in sentences: labels if there are any."""
    labels = run.metrics.errors.labels
    return "labels" if labels and labels.forces_mae is not None else "parent"


def error_of(run: Run, quantity: str) -> float:
    """Return the MAE of a quantity against `reference_of`, in the unit of the report."""
    return tables.convert(getattr(run.metrics.errors, reference_of(run)), quantity, "mae")


def comparable(error: float) -> float:
    """Return an error to find the least one: one that was not measured is the largest."""
    return float("inf") if pd.isna(error) else error


def _errors_text(run: Run) -> str:
    energy, forces = error_of(run, "energy"), error_of(run, "forces")
    return f"{number(energy)} meV/atom in energy and {number(forces)} meV/Å in forces"


def parent_step(study: Study, model: str) -> Step:
    """Return the step of the parent, before anything is done to it."""
    run = study.parents[model]
    cost, metrics = run.metrics.cost, run.metrics
    origin = f"the checkpoint {run.card.checkpoint} of the family {run.card.family}"
    stages = {stage["stage"]: stage for stage in run.card.stages}
    if training := stages.get("trained"):
        origin = (
            f"a model of the family {run.card.family}, trained from scratch on "
            f"{training['dataset']} in {plural(training['steps'], 'step')}"
        )
    sentences = [
        f"{model} is {origin}, with {cost.parameters:,} parameters in "
        f"{cost.total_blocks:,} irreps blocks.",
        f"One call for energy, forces and stress on {cost.timing_atoms} atoms takes "
        f"{seconds(cost.seconds)} ({cost.device}, {plural(cost.threads, 'thread')}).",
    ]
    restricted = stages.get("restricted")
    if restricted and restricted["left_out"]:
        sentences.insert(
            1,
            f"It was restricted to {listing(restricted['elements'])} before, which loses nothing: "
            f"with all its elements it has {restricted['parameters_before']:,} parameters.",
        )
    if reference_of(run) == "labels":
        whose = "" if metrics.labels == UNKNOWN_LEVEL else f" of {metrics.labels}"
        sentences.append(
            f"On {plural(metrics.structures, 'structure')} of {metrics.dataset} "
            f"({metrics.split} split) its mean absolute errors against the labels"
            f"{whose} are {_errors_text(run)}."
        )
    return Step("The parent", sentences)


def sweep_step(study: Study, model: str) -> Step:
    """Return how far the plans go, and which criteria and axes did best."""
    sweep = study.config.sweep
    pruned = {r.plan: r for r in study.compressed(model) if r.stage == PRUNED}
    fewest = min(pruned.values(), key=lambda r: r.metrics.cost.parameters)
    parent = study.parents[model].metrics.cost
    share = number(100 * fewest.metrics.cost.parameters / parent.parameters, 2)
    sentences = [
        f"{plural(len(pruned), 'plan')} by {listing(sweep.criteria)} cut it down, the furthest "
        f"to {share} % of the parameters ({fewest.plan})."
        if len(pruned) > 1
        else f"One plan, {fewest.plan}, cuts it down to {share} % of the parameters."
    ]
    recipes = study.config.plans()
    by_recipe: dict[tuple[Any, ...], list[tuple[str, Run]]] = {}
    for name, recipe in recipes.items():
        if recipe.budget is not None:
            key = recipe.budget, recipe.axes, recipe.allocation
            by_recipe.setdefault(key, []).append((recipe.criterion, pruned[name]))
    contests = [c for c in by_recipe.values() if len(c) > 1]
    if contests:
        winners = [min(c, key=lambda e: comparable(error_of(e[1], "forces")))[0] for c in contests]
        counts = {criterion: winners.count(criterion) for criterion in sweep.criteria}
        best = max(counts, key=lambda criterion: counts[criterion])
        sentences.append(
            f"At equal budget and before any training, {best} leaves the smallest forces error in "
            f"{counts[best]} of {len(contests)} comparisons."
        )
    if set(sweep.axes) == {"both", "channels"}:
        pairs = list(_pairs_of_axes(recipes))
        ratios = {plan: run.metrics.cost.time_ratio for plan, run in pruned.items()}
        faster = sum(ratios[both] < ratios[channels] for both, channels in pairs)
        if pairs:
            sentences.append(
                f"Pruning orders as well as channels gives the faster model in {faster} of "
                f"{plural(len(pairs), 'pair')} of equal budget."
            )
    return Step("The sweep", sentences)


def _pairs_of_axes(recipes: dict[str, Recipe]) -> Iterator[tuple[str, str]]:
    """Yield plans that prune orders and channels, each with the one that differs in that alone."""
    names = {recipe: name for name, recipe in recipes.items() if recipe.budget is not None}
    for recipe, name in names.items():
        other = names.get(recipe.model_copy(update={"axes": "channels"}))
        if recipe.axes == "both" and other is not None:
            yield name, other


def stage_steps(study: Study, smallest: Run) -> list[Step]:
    """The stages of the smallest model's plan, each against the one before."""
    steps = []
    chain = [r for r in study.compressed(smallest.model) if r.plan == smallest.plan]
    parent = study.parents[smallest.model]
    by_stage = {run.stage: run for run in chain}
    for run in chain:
        if run.stage == PRUNED:
            steps.append(_pruned(run, parent))
        elif run.stage.bits is not None:
            steps.append(_quantized(run, by_stage[run.stage.source]))
        elif run.stage.dtype is not None:
            steps.append(_exported(run, by_stage[run.stage.source]))
        elif run.stage == COMPENSATED:
            steps.append(_compensated(run, by_stage[PRUNED]))
        elif run.stage == REFINED:
            others = [by_stage.get(s) for s in (DISTILLED, RECOVERED, COMPENSATED, PRUNED)]
            steps.append(_refined(run, next(each for each in others if each is not None)))
        else:
            steps.append(_trained(run, by_stage.get(COMPENSATED, by_stage[PRUNED])))
    return steps


def _layers(run: Run, parent: Run) -> list[str]:
    """Return a sentence on the number of layers, if it differs."""
    own, before = (each.card.shape.get("layers") for each in (run, parent))
    return [] if own == before else [f"It has {own} of the {before} layers of its parent."]


def _pruned(run: Run, parent: Run) -> Step:
    cost = run.metrics.cost
    return Step(
        "Pruned",
        [
            f"The plan {run.plan} keeps {cost.kept_blocks:,} of "
            f"{cost.total_blocks:,} blocks: {cost.parameters:,} parameters, "
            f"{number(100 * cost.flops_per_atom / parent.metrics.cost.flops_per_atom, 2)} % of the "
            f"FLOPs and {number(100 * cost.time_ratio, 2)} % of the time{_deployed(cost)}.",
            *_layers(run, parent),
            *_edits(run),
            f"Its layers hold {tables.format_irreps(run.card.shape.get('irreps', []))}.",
            f"Without training its errors against the {reference_of(run)} are {_errors_text(run)}.",
        ],
    )


def _deployed(cost: MeasuredCost) -> str:
    """Return the share of the time in a runtime of deployments, where that is what counts."""
    if cost.deployed is None:
        return ""
    share = number(100 * cost.deployed.time_ratio, 2)
    return f" by the code of its family, {share} % in {cost.deployed.runtime}"


def _compensated(run: Run, before: Run) -> Step:
    done = _record(run)
    return Step(
        "Compensated",
        [
            f"Fitting the kept weights to the parent's features on {done['structures']:,} "
            f"structures of {done['dataset']}, without training, brings the errors against the "
            f"{reference_of(run)} from {_errors_text(before)} to {_errors_text(run)}.",
        ],
    )


def _record(run: Run) -> dict[str, Any]:
    """Return the card's record of the last time that a model went through its stage."""
    return next((s for s in reversed(run.card.stages) if s.get("stage") == run.name), {})


def _edits(run: Run) -> list[str]:
    """Return how a plan was edited by hand, if it was."""
    edits = tables.edited_by_hand(run.card)
    return [f"This plan was edited by hand: {'; '.join(edits)}."] if edits else []


def _refined(run: Run, before: Run) -> Step:
    done = _record(run)
    rounds = done.get("rounds", [])
    told = [
        f"round {each['number']}: forces off by {number(100 * each['departure'], 2)} % of their "
        f"mean, {number(1000 * each['forces_mae'], 2)} meV/Å, on {each['frames']} frames"
        + (f", {len(each['broke'])} of {each['runs']} runs broke" if each["broke"] else "")
        for each in rounds
        if each["frames"]
    ]
    sentences = [
        f"In rounds, the model ran dynamics, the parent labelled the frames, and training went on "
        f"with those where the model was wrong. Errors on new dynamics, before the training of "
        f"each round: {'; '.join(told)}. Refinement ended because {done.get('ended', 'it did')}; "
        f"the model of round {done.get('kept_round', len(rounds) - 1)} is kept. Its errors against "
        f"the {reference_of(run)} are {_errors_text(run)} (before: {_errors_text(before)})."
    ]
    return Step("Refined", sentences)


def _trained(run: Run, before: Run) -> Step:
    done = _record(run)
    what = "Training on the parent's outputs" if run.stage == DISTILLED else "Training on labels"
    length = f" for {done['steps']:,} steps" if isinstance(done.get("steps"), int) else ""
    data = f" of {done['dataset']}" if "dataset" in done else ""
    against = f"errors against the {reference_of(run)}"
    if done.get("kept") == "start":
        sentence = (
            f"{what}{data}{length} did not improve on the weights that it began with, and was "
            f"rejected: the {run.name} model has the weights of the {before.name} one. Its "
            f"{against} are {_errors_text(run)}."
        )
    else:
        sentence = (
            f"{what}{data}{length} brings the {against} from {_errors_text(before)} to "
            f"{_errors_text(run)}."
        )
    return Step(run.name.capitalize(), [sentence])


def _quantized(run: Run, before: Run) -> Step:
    cost = run.metrics.cost
    packed = (
        f"The packed file takes {number(cost.packed_bytes / 1e6)} MB where the model's own file "
        f"takes {number(cost.file_bytes / 1e6)} MB. "
        if cost.packed_bytes
        else ""
    )
    return Step(
        f"Quantized to {run.stage.bits} bits",
        [
            f"{packed}With the path and radial weights of the {before.name} model in "
            f"{run.stage.bits} bits, the errors go from {_errors_text(before)} to "
            f"{_errors_text(run)}.",
        ],
    )


def _exported(run: Run, before: Run) -> Step:
    faster = before.metrics.cost.time_ratio / run.metrics.cost.time_ratio
    return Step(
        f"Exported in {run.stage.dtype}",
        [
            f"In {run.stage.dtype} the errors of the {before.name} model go from "
            f"{_errors_text(before)} to {_errors_text(run)}, and a call takes "
            f"{number(100 / faster, 2)} % of its time.",
        ],
    )


def downstream_steps(study: Study, smallest: Run) -> list[Step]:
    """Return the effect of fine-tuning, on one dataset or over several; None without any."""
    table = tables.downstream_table(study)
    own = table[(table["model"] == smallest.model) & (table["plan"] == smallest.plan)]
    if own.empty:
        return []
    summaries = own[own["dataset"].isin(tables.SUMMARIES)].set_index("dataset")
    datasets = own[~own["dataset"].isin(tables.SUMMARIES)]
    if summaries.empty or len(datasets) == 1:
        sentences = [_task_sentence(row) for _, row in datasets.iterrows()]
        rejected = [t for t in study.tasks if _is_own(t, smallest) and _was_rejected(t)]
        sentences += [
            f"On {task.dataset}, training did not improve on the weights that it began with, which "
            "were kept."
            for task in rejected
        ]
        return [Step("Downstream", sentences)]
    energy, forces = (_reductions(summaries, q) for q in tables.PAPER_REDUCTIONS)
    means = [
        comparison(summaries.loc[tables.MEAN, tables.reduction_column(q)])
        for q in tables.PAPER_REDUCTIONS
    ]
    paper = tables.PAPER_REDUCTIONS
    return [
        Step(
            "Downstream",
            [
                f"Fine-tuned on {plural(len(datasets), 'dataset')}, the compressed model's test "
                f"errors are in the median {energy} in energy and {forces} in forces than those of "
                f"the same network trained from scratch; the means are {means[0]} and {means[1]}.",
                *_untouched(datasets),
                f"The paper (Wang et al., arXiv:2605.08885) reports {comparison(paper['energy'])} "
                f"and {comparison(paper['forces'])}, the mean over its own eight datasets, with "
                "its own models and budgets.",
            ],
        )
    ]


def dynamics_steps(study: Study, smallest: Run) -> list[Step]:
    """Return how the models behave in molecular dynamics beside their parent; none if not run."""
    of_model = [run for run in study.dynamics if run.model == smallest.model]
    parents = {run.measured.dataset: run.measured for run in of_model if run.is_parent}
    own = [run.measured for run in of_model if run.plan == smallest.plan]
    if not own:
        return []
    return [Step("Molecular dynamics", [_run_sentence(run, parents[run.dataset]) for run in own])]


def validation_steps(study: Study, smallest: Run) -> list[Step]:
    """Return how the model is beside its parent in what users do with it; none if not measured."""
    own = (smallest.model, smallest.plan)
    sentences = []
    for each in study.validations:
        if (each.model, each.plan) != own:
            continue
        measured = each.measured
        formulas = listing([structure.formula for structure in measured.structures])
        where = f" on {formulas}" if formulas else ""
        sentences.append(
            f"The {each.name} model was measured beside its parent{where}, by what users do with "
            f"it ({measured.code}). The result is {measured.summary()}."
        )
        if failures := measured.failures():
            sentences.append(f"Not within tolerance: {'; '.join(map(str, failures))}.")
    return [Step("Validated", sentences)] if sentences else []


def _run_sentence(run: MeasuredDynamics, parent: MeasuredDynamics) -> str:
    """What happened in a run, beside the same one with the parent."""
    where = (
        f"In {number(run.picoseconds, 2)} ps of {run.formula} at constant energy, begun at "
        f"{number(run.wanted_temperature)} K,"
    )
    if run.broke is not None:
        return f"{where} the run with the compressed model broke: {run.broke}."
    sentence = (
        f"{where} the compressed model keeps the energy to {_drift(run)} and {_temperature(run)}; "
        f"it does {number(run.steps_per_second)} steps per second"
    )
    if parent.broke is not None:
        return f"{sentence}. The run with the parent broke: {parent.broke}."
    return (
        f"{sentence}. The parent: {_drift(parent)}, {_temperature(parent)}, "
        f"{number(parent.steps_per_second)} steps per second."
    )


def _drift(run: MeasuredDynamics) -> str:
    drift = None if run.drift is None else 1e3 * abs(run.drift)
    return f"{number(drift, 2)} meV/atom/ps"


def _temperature(run: MeasuredDynamics) -> str:
    return f"a mean temperature of {number(run.temperature)} K"


def _is_own(task: TaskRun, run: Run) -> bool:
    return (task.model, task.plan, task.start) == (run.model, run.plan, "finetuned")


def _was_rejected(task: TaskRun) -> bool:
    return bool(task.card.stages) and task.card.stages[-1].get("kept") == "start"


def _reductions(summaries: pd.DataFrame, quantity: str) -> str:
    """Median and range of the reductions: ``70.0 % lower (from 9.0 % higher to 80.0 % lower)``."""
    median, least, most = (
        comparison(summaries.loc[name, tables.reduction_column(quantity)])
        for name in (tables.MEDIAN, tables.LOWEST, tables.HIGHEST)
    )
    return f"{median} (from {least} to {most})"


def _untouched(datasets: pd.DataFrame) -> list[str]:
    """Return where the parent without any training is better than the compressed model."""
    told = []
    for quantity in ("forces", "energy"):
        parent, compressed = (
            datasets[tables.task_column(quantity, "mae", name)]
            for name in (tables.RESTRICTED, tables.FINETUNED)
        )
        if parent.isna().all():
            return []
        better = datasets.loc[parent < compressed, "dataset"].tolist()
        where = f"{len(better)} of {len(datasets)}"
        told.append(f"{where} in {quantity}" + (f" ({listing(better)})" if better else ""))
    return [
        "The parent as it is, only restricted to the elements of a dataset and with its energies "
        f"shifted, has lower errors than the compressed model on {told[0]} and {told[1]}."
    ]


def _task_sentence(row: pd.Series) -> str:
    """What the test errors on one dataset are, beside those of whatever else was measured."""

    def errors(trained: str) -> str:
        energy, forces = (
            number(row[tables.task_column(q, "mae", trained)]) for q in ("energy", "forces")
        )
        return f"{energy} meV/atom in energy and {forces} meV/Å in forces"

    sentence = (
        f"Fine-tuned on {row['dataset']}, the compressed model's errors on "
        f"{plural(row['test structures'], 'test structure')} are {errors(tables.FINETUNED)}"
    )
    for trained, name in (
        (tables.FINETUNED_PARENT, "those of the parent, fine-tuned alike,"),
        (tables.SCRATCH, "those of the same network trained from scratch"),
        (tables.RESTRICTED, "those of the parent as it is, with its energies shifted,"),
    ):
        if pd.notna(row[tables.task_column("forces", "mae", trained)]):
            sentence += f"; {name} {errors(trained)}"
    return f"{sentence}."
