"""The study told in sentences: from the parent to the smallest model, with its numbers."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from irrepress.report import tables
from irrepress.report.study import Run, Study
from irrepress.report.text import comparison, factor, listing, number, plural, seconds


@dataclass(frozen=True)
class Step:
    """One step of the story."""

    title: str
    sentences: list[str]


@dataclass(frozen=True)
class Tile:
    """A number that stands out, with what it is."""

    value: str
    caption: str


@dataclass(frozen=True)
class Story:
    """The story of one model.

    Attributes:
        model: name of the model.
        smallest: the run it ends at.
        tiles: what the smallest model is, in numbers.
        steps: from the parent onwards.
    """

    model: str
    smallest: Run
    tiles: list[Tile]
    steps: list[Step] = field(default_factory=list)


def tell(study: Study, model: str) -> Story:
    """Tell how the smallest model of a study came about."""
    smallest = smallest_run(study, model)
    if smallest is None:
        parent = study.parents[model]
        return Story(model, parent, _tiles(study, parent), [_parent(study, model)])
    steps = [
        _parent(study, model),
        _sweep(study, model),
        *_stages(study, smallest),
        *_downstream(study, smallest),
    ]
    return Story(model, smallest, _tiles(study, smallest), steps)


def smallest_run(study: Study, model: str) -> Run | None:
    """Return the smallest model by parameters, at its most accurate stage.

    If plans were trained, the others do not count: without recovery they are of no use.
    Quantized and exported stages have as many parameters and do not count either. None without
    plans.
    """
    runs = [r for r in study.compressed(model) if "-" not in r.stage]
    if trained := [r for r in runs if r.plan in study.config.train_plans]:
        runs = trained
    if not runs:
        return None
    fewest = min(r.metrics.cost.parameters for r in runs)
    candidates = [r for r in runs if r.metrics.cost.parameters == fewest]
    return min(candidates, key=lambda r: _comparable(_error(r, "forces")))


def reference_of(run: Run) -> str:
    """What errors in sentences are measured against: labels if there are any."""
    labels = run.metrics.errors.labels
    return "labels" if labels and labels.forces_mae is not None else "parent"


def _error(run: Run, quantity: str) -> float:
    return tables.convert(getattr(run.metrics.errors, reference_of(run)), quantity, "mae")


def _comparable(error: float) -> float:
    return float("inf") if pd.isna(error) else error


def _errors_text(run: Run) -> str:
    energy, forces = _error(run, "energy"), _error(run, "forces")
    return f"{number(energy)} meV/atom in energy and {number(forces)} meV/Å in forces"


def _tiles(study: Study, run: Run) -> list[Tile]:
    cost = run.metrics.cost
    parent = study.parents[run.model]
    checks = run.metrics.checks.own
    deviations = (checks.rotation, checks.inversion, checks.translation, checks.permutation)
    worst = max((v for v in deviations if v is not None), default=None)
    return [
        Tile(
            factor(parent.metrics.cost.parameters / cost.parameters),
            f"fewer parameters: {cost.parameters:,} of {parent.metrics.cost.parameters:,}",
        ),
        Tile(
            factor(1 / cost.time_ratio),
            f"the parent's speed: {seconds(cost.seconds)} a call on {cost.timing_atoms} atoms "
            f"instead of {seconds(cost.parent_seconds)} ({cost.device}, "
            f"{plural(cost.threads, 'thread')})",
        ),
        Tile(
            f"{number(_error(run, 'forces'))} meV/Å",
            f"forces MAE against the {reference_of(run)}; the parent "
            f"{number(_error(parent, 'forces'))}",
        ),
        Tile(
            "none" if worst is None else number(worst, 3),
            "largest relative deviation from symmetry, in float64"
            + (": no check has a value" if worst is None else ""),
        ),
    ]


def _parent(study: Study, model: str) -> Step:
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
        sentences.append(
            f"On {plural(metrics.structures, 'structure')} of {metrics.dataset} "
            f"({metrics.split} split) its mean absolute errors against the labels of "
            f"{metrics.labels} are {_errors_text(run)}."
        )
    return Step("The parent", sentences)


def _sweep(study: Study, model: str) -> Step:
    sweep = study.config.sweep
    pruned = {r.plan: r for r in study.compressed(model) if r.stage == "pruned"}
    fewest = min(pruned.values(), key=lambda r: r.metrics.cost.parameters)
    parent = study.parents[model].metrics.cost
    sentences = [
        f"{plural(len(pruned), 'plan')} by {listing(sweep.criteria)} cut it down, the furthest "
        f"to {number(100 * fewest.metrics.cost.parameters / parent.parameters, 2)} % of the "
        f"parameters ({fewest.plan}).",
    ]
    by_recipe: dict[tuple[float, str, str], list[tuple[str, Run]]] = {}
    for name, recipe in study.config.plans().items():
        if "budget" in recipe:
            key = recipe["budget"], recipe["axes"], recipe["allocation"]
            by_recipe.setdefault(key, []).append((recipe["criterion"], pruned[name]))
    contests = [c for c in by_recipe.values() if len(c) > 1]
    if contests:
        winners = [min(c, key=lambda e: _comparable(_error(e[1], "forces")))[0] for c in contests]
        counts = {criterion: winners.count(criterion) for criterion in sweep.criteria}
        best = max(counts, key=lambda criterion: counts[criterion])
        sentences.append(
            f"At equal budget and before any training, {best} leaves the smallest forces error in "
            f"{counts[best]} of {len(contests)} comparisons."
        )
    if set(sweep.axes) == {"both", "channels"}:
        pairs = [
            (run.metrics.cost.time_ratio, pruned[f"{plan}-channels"].metrics.cost.time_ratio)
            for plan, run in pruned.items()
            if f"{plan}-channels" in pruned
        ]
        faster = sum(both < channels for both, channels in pairs)
        if pairs:
            sentences.append(
                f"Pruning orders as well as channels gives the faster model in {faster} of "
                f"{plural(len(pairs), 'pair')} of equal budget."
            )
    return Step("The sweep", sentences)


def _stages(study: Study, smallest: Run) -> list[Step]:
    """The stages of the smallest model's plan, each against the one before."""
    steps = []
    chain = [r for r in study.compressed(smallest.model) if r.plan == smallest.plan]
    parent = study.parents[smallest.model]
    by_stage = {run.stage: run for run in chain}
    for run in chain:
        if run.stage == "pruned":
            steps.append(_pruned(run, parent))
        elif "-int" in run.stage:
            steps.append(_quantized(run, by_stage[run.stage.rsplit("-int", 1)[0]]))
        elif "-float" in run.stage:
            steps.append(_exported(run, by_stage[run.stage.split("-")[0]]))
        elif run.stage == "compensated":
            steps.append(_compensated(run, by_stage["pruned"]))
        else:
            steps.append(_trained(run, by_stage.get("compensated", by_stage["pruned"])))
    return steps


def _pruned(run: Run, parent: Run) -> Step:
    cost = run.metrics.cost
    return Step(
        "Pruned",
        [
            f"The smallest model that was carried on, {run.plan}, keeps {cost.kept_blocks:,} of "
            f"{cost.total_blocks:,} blocks: {cost.parameters:,} parameters, "
            f"{number(100 * cost.flops_per_atom / parent.metrics.cost.flops_per_atom, 2)} % of the "
            f"FLOPs and {number(100 * cost.time_ratio, 2)} % of the time.",
            f"Its layers hold {tables.format_irreps(run.card.shape.get('irreps', []))}.",
            f"Without training its errors against the {reference_of(run)} are {_errors_text(run)}.",
        ],
    )


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
    """What the card says of the last time that a model went through its stage."""
    return next((s for s in reversed(run.card.stages) if s.get("stage") == run.stage), {})


def _trained(run: Run, before: Run) -> Step:
    done = _record(run)
    what = "Training on the parent's outputs" if run.stage == "distilled" else "Training on labels"
    length = f" for {done['steps']:,} steps" if isinstance(done.get("steps"), int) else ""
    data = f" of {done['dataset']}" if "dataset" in done else ""
    return Step(
        run.stage.capitalize(),
        [
            f"{what}{data}{length} brings the errors against the {reference_of(run)} from "
            f"{_errors_text(before)} to {_errors_text(run)}.",
        ],
    )


def _quantized(run: Run, before: Run) -> Step:
    stage, bits = run.stage.rsplit("-int", 1)
    cost = run.metrics.cost
    packed = (
        f"The packed file takes {number(cost.packed_bytes / 1e6)} MB where the model's own file "
        f"takes {number(cost.file_bytes / 1e6)} MB. "
        if cost.packed_bytes
        else ""
    )
    return Step(
        f"Quantized to {bits} bits",
        [
            f"{packed}With the path and radial weights of the {stage} model in {bits} bits, the "
            f"errors go from {_errors_text(before)} to {_errors_text(run)}.",
        ],
    )


def _exported(run: Run, before: Run) -> Step:
    stage, dtype = run.stage.split("-")
    faster = before.metrics.cost.time_ratio / run.metrics.cost.time_ratio
    return Step(
        f"Exported in {dtype}",
        [
            f"In {dtype} the errors of the {stage} model go from {_errors_text(before)} to "
            f"{_errors_text(run)}, and a call takes {number(100 / faster, 2)} % of its time.",
        ],
    )


def _downstream(study: Study, smallest: Run) -> list[Step]:
    table = tables.downstream_table(study)
    own = table[(table["model"] == smallest.model) & (table["plan"] == smallest.plan)]
    if own.empty:
        return []
    mean = own[own["dataset"] == tables.MEAN]
    if mean.empty:
        return [Step("Downstream", [_task_sentence(row) for _, row in own.iterrows()])]
    energy, forces = (
        float(mean[tables.reduction_column(q)].iloc[0]) for q in tables.PAPER_REDUCTIONS
    )
    paper = tables.PAPER_REDUCTIONS
    return [
        Step(
            "Downstream",
            [
                f"Fine-tuned on {plural(len(own) - 1, 'dataset')}, the compressed model's test "
                f"errors are on average {comparison(energy)} in energy and {comparison(forces)} in "
                "forces than those of the same network trained from scratch.",
                f"The paper (Wang et al., arXiv:2605.08885) reports {comparison(paper['energy'])} "
                f"and {comparison(paper['forces'])}, the mean over its own eight datasets, with "
                "its own models and budgets.",
            ],
        )
    ]


def _task_sentence(row: pd.Series) -> str:
    """What the test errors on one dataset are, where none are from scratch to compare with."""

    def errors(trained: str) -> str:
        energy, forces = (
            number(row[tables.task_column(q, "mae", trained)]) for q in ("energy", "forces")
        )
        return f"{energy} meV/atom in energy and {forces} meV/Å in forces"

    sentence = (
        f"Fine-tuned on {row['dataset']}, the compressed model's errors on "
        f"{plural(row['test structures'], 'test structure')} are {errors(tables.FINETUNED)}"
    )
    if pd.notna(row[tables.task_column("forces", "mae", tables.PARENT)]):
        sentence += f"; those of the parent, fine-tuned alike, {errors(tables.PARENT)}"
    return f"{sentence}."
