"""The numbers of the report as tables: one tidy frame per question, units in the column names.

Energies are per atom. Missing values (no label of that kind, nothing to compare with) are NaN
and become empty cells of the CSV files.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from ase import units

from irrepress.evaluation.checks import Deviations
from irrepress.evaluation.records import Errors, Metrics, RuntimeCost
from irrepress.pruning.config import Sweep
from irrepress.report.study import Run, Study, TaskRun, read_study
from irrepress.study.cards import Card
from irrepress.study.config import Config
from irrepress.study.paths import PARENT_PLAN
from irrepress.study.stages import ORIGINAL, PRUNED

MEGA = 1e6

# quantity -> (unit shown, factor from eV/atom, eV/Å, eV/Å^3)
UNITS = {
    "energy": ("meV/atom", 1e3),
    "forces": ("meV/Å", 1e3),
    "stress": ("GPa", 1 / units.GPa),
}
STATISTICS = {"mae": "MAE", "rmse": "RMSE"}

# Wang, Hu, Tan, Jia, arXiv 2605.08885, abstract: mean over its own eight downstream datasets.
PAPER_REDUCTIONS = {"energy": 70.1, "forces": 34.4}
PAPER_SOURCE = "paper (arXiv:2605.08885; other models and datasets)"
OWN_SOURCE = "this study"

# Rows that sum up the reductions over all datasets. A mean alone would hide a single dataset on
# which pruning failed; it is there because the paper's figure is one.
MEAN, MEDIAN, LOWEST, HIGHEST = "mean", "median", "lowest", "highest"
SUMMARIES = (MEAN, MEDIAN, LOWEST, HIGHEST)
FINETUNED, SCRATCH, FINETUNED_PARENT = "fine-tuned compressed", "from scratch", "fine-tuned parent"
# The parent that only lost the elements that the dataset lacks; it is not trained.
RESTRICTED = "restricted parent"
# Names of the trainings on a downstream dataset.
TRAININGS = {
    SCRATCH: "the network trained from scratch",
    FINETUNED: "the compressed model fine-tuned",
    FINETUNED_PARENT: "the uncompressed parent fine-tuned",
}
_BASELINES = {"scratch": SCRATCH, "parent": FINETUNED_PARENT}
_COMPARED = (FINETUNED, SCRATCH, FINETUNED_PARENT, RESTRICTED)
# The parent with all its elements, as it is in the other tables.
WHOLE = "parent"
# Columns of the compressed, fine-tuned model relative to the whole parent.
SPEED_UP = "speed-up fine-tuned compressed"


def error_column(quantity: str, statistic: str, reference: str) -> str:
    """Name of a column of errors, such as ``forces MAE vs labels [meV/Å]``."""
    return f"{quantity} {STATISTICS[statistic]} vs {reference} [{UNITS[quantity][0]}]"


def task_column(quantity: str, statistic: str, trained: str) -> str:
    """Name of a column of downstream errors: ``energy MAE from scratch [meV/atom]``."""
    return f"{quantity} {STATISTICS[statistic]} {trained} [{UNITS[quantity][0]}]"


def parameters_column(trained: str) -> str:
    """Name of a column with the number of parameters on a downstream dataset."""
    return f"parameters {trained}"


def reduction_column(quantity: str) -> str:
    """Name of the column with the reduction of the MAE against training from scratch."""
    return f"{quantity} MAE reduction against scratch [%]"


def best_column(quantity: str) -> str:
    """Name of the column that says which model has the least MAE on a dataset."""
    return f"best in {quantity}"


def trainings_of(config: Config) -> list[str]:
    """Return the names of the trainings on the downstream datasets."""
    baselines = config.downstream.baselines if config.downstream else []
    chosen = {FINETUNED, *(_BASELINES[name] for name in baselines if name in _BASELINES)}
    return [words for name, words in TRAININGS.items() if name in chosen]


def collect_sweep(study_dir: str | Path, config: Config) -> pd.DataFrame:
    """Read a study and return `sweep_table`."""
    return sweep_table(read_study(study_dir, config))


def collect_downstream(study_dir: str | Path, config: Config) -> pd.DataFrame:
    """Read a study and return `downstream_table`."""
    return downstream_table(read_study(study_dir, config))


def collect_cost(study_dir: str | Path, config: Config) -> pd.DataFrame:
    """Read a study and return `cost_table`."""
    return cost_table(read_study(study_dir, config))


def collect_errors(study_dir: str | Path, config: Config) -> pd.DataFrame:
    """Read a study and return `errors_table`."""
    return errors_table(read_study(study_dir, config))


def sweep_table(study: Study) -> pd.DataFrame:
    """One row per model and plan: what was asked, what is left, and what it costs in accuracy.

    Errors are those right after pruning, before any training. The parent comes first.
    """
    recipes = study.config.plans()
    rows = []
    for run in study.runs:
        if not run.is_parent and run.stage != PRUNED:
            continue
        recipe = recipes.get(run.plan)
        budget = recipe.budget if recipe else None
        shape = run.card.shape
        parent = study.parents[run.model].metrics.cost
        cost = run.metrics.cost
        rows.append(
            {
                "model": run.model,
                "family": run.card.family,
                "plan": run.plan,
                "criterion": recipe.criterion if recipe else None,
                "budget": budget,
                "budget unit": _unit(study.config.sweep) if budget else None,
                "axes": recipe.axes if recipe else None,
                "allocation": recipe.allocation if recipe else None,
                "irreps": format_irreps(shape.get("irreps", [])),
                "filter lmax": shape.get("filter_lmax"),
                "layers": shape.get("layers"),
                "cutoff [Å]": shape.get("cutoff"),
                "blocks kept [%]": 100 * cost.kept_blocks / cost.total_blocks,
                "parameters": cost.parameters,
                "parameter ratio": cost.parameters / parent.parameters,
                "FLOPs ratio": cost.flops_per_atom / parent.flops_per_atom,
                "time ratio": cost.time_ratio,
                **_error_columns(run.metrics),
                "edited by hand": "; ".join(edited_by_hand(run.card)) or None,
            }
        )
    return pd.DataFrame(rows)


def errors_table(study: Study) -> pd.DataFrame:
    """One row per model, plan and stage: errors against the labels and against the parent.

    Models that were fine-tuned on the only downstream dataset have a row, too.
    """
    rows = [
        {
            **_identity(run),
            "dataset": run.metrics.dataset,
            "split": run.metrics.split,
            "structures": run.metrics.structures,
            "labels": run.metrics.labels,
            **_error_columns(run.metrics),
        }
        for run in with_finals(study)
    ]
    return pd.DataFrame(rows)


def cost_table(study: Study) -> pd.DataFrame:
    """One row per model, plan and stage: size, operations and time.

    The time is that of one energy, forces and stress call on a crystal, measured side by side
    with the parent, so only the ratio carries over to other machines. Where budgets are measured in
    a runtime of deployments, its times stand in columns of their own.
    """
    rows = []
    for run in with_finals(study):
        cost = run.metrics.cost
        if cost is None:
            continue
        parent = study.parents[run.model].metrics.cost
        rows.append(
            {
                **_identity(run),
                "parameters": cost.parameters,
                "parameter ratio": cost.parameters / parent.parameters,
                "blocks kept": cost.kept_blocks,
                "blocks of the parent": cost.total_blocks,
                "FLOPs per atom [MFLOP]": cost.flops_per_atom / MEGA,
                "FLOPs ratio": cost.flops_per_atom / parent.flops_per_atom,
                "file [MB]": cost.file_bytes / MEGA,
                "packed file [MB]": _scaled(cost.packed_bytes, 1 / MEGA),
                "time per call [ms]": cost.seconds * 1e3,
                "spread [%]": cost.seconds_spread * 1e2,
                "parent's time per call [ms]": cost.parent_seconds * 1e3,
                "parent's spread [%]": cost.parent_seconds_spread * 1e2,
                "time ratio": cost.time_ratio,
                "spread of the ratio [%]": cost.time_ratio_spread * 1e2,
                "speed-up": 1 / cost.time_ratio,
                "atoms timed": cost.timing_atoms,
                "device": cost.device,
                "threads": cost.threads,
                "code timed": cost.code,
                "busy": cost.busy,
                **_deployed_columns(cost.deployed),
            }
        )
    return pd.DataFrame(rows)


def dynamics_table(study: Study) -> pd.DataFrame:
    """One row per run of molecular dynamics, of each dataset the parent's first.

    Speeds are those of runs one after another: on a busy machine, time ratios are better known.
    """
    rows = []
    for run in study.dynamics:
        measured = run.measured
        rows.append(
            {
                "model": run.model,
                "plan": run.plan,
                "stage": run.name,
                "dataset": measured.dataset,
                "formula": measured.formula,
                "atoms": measured.atoms,
                "length [ps]": measured.picoseconds,
                "time step [fs]": measured.timestep,
                "thermostat before [K]": measured.wanted_temperature,
                "temperature [K]": measured.temperature,
                "its fluctuation [K]": measured.temperature_fluctuation,
                "energy drift [meV/atom/ps]": _scaled(measured.drift, 1e3),
                "energy fluctuation [meV/atom]": _scaled(measured.fluctuation, 1e3),
                "kinetic fluctuation [meV/atom]": _scaled(measured.kinetic_fluctuation, 1e3),
                "steps per second": measured.steps_per_second,
                "not passed": "; ".join(measured.failures()) or None,
                "started from": measured.source,
                "code": measured.code,
                "device": measured.device,
                "threads": measured.threads,
            }
        )
    return pd.DataFrame(rows)


def validation_table(study: Study) -> pd.DataFrame:
    """One row per verdict on a model beside its parent; without any, column names only."""
    rows = [
        {
            "model": each.model,
            "plan": each.plan,
            "stage": each.name,
            "structure": verdict.structure,
            "quantity": verdict.quantity,
            "value": verdict.value,
            "unit": verdict.unit,
            "tolerance": verdict.tolerance,
            "judged": verdict.word,
            "essential": verdict.essential,
            "remark": verdict.remark,
            "code": each.measured.code,
            "parent's code": each.measured.parent_code,
        }
        for each in study.validations
        for verdict in each.measured.verdicts
    ]
    return pd.DataFrame(rows)


def deploy_table(study: Study) -> pd.DataFrame:
    """One row per deployment and number of atoms; one without times has a row of its own."""
    rows = []
    for each in study.deployments:
        record = each.record
        sizes: list[int | None] = [*record.sizes()]
        for atoms in sizes or [None]:
            own = None if atoms is None else record.time(atoms, "deployed")
            parent = None if atoms is None else record.time(atoms, "parent")
            rows.append(
                {
                    "model": each.model,
                    "plan": each.plan,
                    "stage": each.name,
                    "target": record.target,
                    "atoms": atoms,
                    "time [ms]": float("nan") if own is None else 1e3 * own.seconds,
                    "parent [ms]": float("nan") if parent is None else 1e3 * parent.seconds,
                    "speed-up": record.speedups().get(atoms or 0, float("nan")),
                    "memory [MB]": float("nan") if own is None else own.memory_mb,
                    "checked": record.checked,
                    "folder": each.folder.as_posix(),
                    "versions": ", ".join(f"{k} {v}" for k, v in record.tested.items()),
                    "device": record.device,
                    "threads": record.threads,
                    "machine": record.machine,
                    "stopped": record.stopped,
                }
            )
    return pd.DataFrame(rows)


def checks_table(study: Study) -> pd.DataFrame:
    """Two rows per model, plan and stage: relative deviations, computed in float64.

    One row is of the family's own code, which users of the saved model run, one of irrepress's.
    """
    rows = [
        {
            **_identity(run),
            **deviations.model_dump(),
            "checked on": run.metrics.checks.structure.source,
            "changes": run.metrics.checks.structure.changes,
        }
        for run in with_finals(study)
        if run.metrics.checks is not None
        for deviations in (run.metrics.checks.own, run.metrics.checks.faster)
    ]
    numbers = [name for name in Deviations.model_fields if name != "code"]
    return pd.DataFrame(rows).astype(dict.fromkeys(numbers, float))


def downstream_table(study: Study) -> pd.DataFrame:
    """One row per model, plan, stage and dataset, summaries after them, the paper's at the end.

    The reduction is ``100 (1 - fine-tuned / from scratch)`` of the mean absolute error. Summaries
    (`SUMMARIES`; of one dataset the mean alone) are of reductions only: errors of different
    datasets have no common mean. The paper's row is there for orientation and says so in the
    column ``source``. Where nothing is trained from scratch, there are neither summaries nor the
    paper's row.

    Columns of baselines that are not configured are empty. Without downstream datasets the table
    is empty, but has its columns.
    """
    has_reductions = any(task.start == "scratch" for task in study.tasks)
    rows: list[dict[str, Any]] = []
    compressed = [t for t in study.tasks if t.start == "finetuned" and t.plan != PARENT_PLAN]
    by_plan: dict[tuple[str, str, str], list[TaskRun]] = {}
    for task in compressed:
        by_plan.setdefault((task.model, task.plan, task.stage.name), []).append(task)
    for (model, plan, stage), tasks in by_plan.items():
        identity = {"model": model, "plan": plan, "stage": stage}
        own = [{**identity, **_task_row(study, task)} for task in tasks]
        rows += own
        if has_reductions:
            rows += [{**identity, **summary} for summary in _summaries(own)]
    if has_reductions:
        paper = {reduction_column(q): value for q, value in PAPER_REDUCTIONS.items()}
        rows.append({"dataset": "mean of 8", "source": PAPER_SOURCE, **paper})
    table = pd.DataFrame(rows, columns=_downstream_columns())
    # Whole numbers, though mean rows have none.
    whole = ["test structures", *(parameters_column(name) for name in (*_COMPARED, WHOLE))]
    return table.astype(dict.fromkeys(whole, "Int64"))


def _summaries(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows that summarize the reductions on several datasets."""
    columns = [reduction_column(quantity) for quantity in PAPER_REDUCTIONS]
    reductions = pd.DataFrame(rows, columns=columns, dtype=float)
    summaries = {
        MEAN: reductions.mean(),
        MEDIAN: reductions.median(),
        LOWEST: reductions.min(),
        HIGHEST: reductions.max(),
    }
    names = SUMMARIES if len(rows) > 1 else (MEAN,)
    return [{"dataset": name, "source": OWN_SOURCE, **summaries[name]} for name in names]


def _downstream_columns() -> list[str]:
    columns = ["model", "plan", "stage", "dataset", "labels", "test structures"]
    for quantity in PAPER_REDUCTIONS:
        columns += [
            task_column(quantity, statistic, name) for statistic in STATISTICS for name in _COMPARED
        ]
    columns += [*(parameters_column(name) for name in (*_COMPARED, WHOLE)), SPEED_UP]
    columns += [reduction_column(quantity) for quantity in PAPER_REDUCTIONS]
    columns += [best_column(quantity) for quantity in PAPER_REDUCTIONS]
    return [*columns, "source"]


def format_irreps(irreps: list[str] | str) -> str:
    """Return irreps of the node features as one text, layers separated by ``|``.

    >>> format_irreps(["8x0e", "8x0e+4x1e", "8x0e+4x1e", "8x0e"])
    '8x0e | 8x0e+4x1e (2 layers) | 8x0e'
    """
    if isinstance(irreps, str):
        return irreps
    runs: list[tuple[str, int]] = []
    for text in irreps:
        if runs and runs[-1][0] == text:
            runs[-1] = (text, runs[-1][1] + 1)
        else:
            runs.append((text, 1))
    return " | ".join(text if n == 1 else f"{text} ({n} layers)" for text, n in runs)


def with_finals(study: Study) -> list[Run | TaskRun]:
    """Return all models, those that the study was made for after what they were trained from."""
    found: list[Run | TaskRun] = []
    for model in study.config.models:
        for plan in dict.fromkeys(run.plan for run in study.runs if run.model == model):
            for group in (study.runs, study.finals):
                found += [run for run in group if (run.model, run.plan) == (model, plan)]
    return found


def edited_by_hand(card: Card) -> list[str]:
    """Return what was changed by hand in the plan of a model, a phrase each."""
    pruned = next((stage for stage in card.stages if stage["stage"] == "pruned"), {})
    return list(pruned.get("edited", []))


def _identity(run: Run | TaskRun) -> dict[str, str]:
    return {"model": run.model, "plan": run.plan, "stage": run.name}


def _error_columns(metrics: Metrics) -> dict[str, float]:
    """Errors against both references, in the units of the report."""
    columns = {}
    for reference in ("labels", "parent"):
        errors: Errors | None = getattr(metrics.errors, reference)
        for quantity in UNITS:
            for statistic in STATISTICS:
                name = error_column(quantity, statistic, reference)
                columns[name] = convert(errors, quantity, statistic)
    return columns


def convert(errors: Errors | None, quantity: str, statistic: str) -> float:
    """Return an error in the report's unit; NaN if it is absent."""
    value = None if errors is None else getattr(errors, f"{quantity}_{statistic}")
    return _scaled(value, UNITS[quantity][1])


def _task_row(study: Study, task: TaskRun) -> dict[str, Any]:
    """Errors of the trainings on one dataset, and the reduction against scratch."""
    where = (task.model, task.plan, task.stage, task.dataset)
    parent = (PARENT_PLAN, ORIGINAL)
    trainings = {
        FINETUNED: task,
        SCRATCH: study.find_task(*where, "scratch"),
        FINETUNED_PARENT: study.find_task(task.model, *parent, task.dataset, "finetuned"),
        RESTRICTED: study.find_task(task.model, *parent, task.dataset, "restricted"),
    }
    row: dict[str, Any] = {
        "dataset": task.dataset,
        "labels": task.metrics.labels,
        "test structures": task.metrics.structures,
    }
    for quantity in PAPER_REDUCTIONS:
        for statistic in STATISTICS:
            for name, training in trainings.items():
                errors = training.metrics.errors.labels if training else None
                row[task_column(quantity, statistic, name)] = convert(errors, quantity, statistic)
    for quantity in PAPER_REDUCTIONS:
        scratch = row[task_column(quantity, "mae", SCRATCH)]
        finetuned = row[task_column(quantity, "mae", FINETUNED)]
        row[reduction_column(quantity)] = (
            100 * (1 - finetuned / scratch) if scratch > 0 else float("nan")
        )
        errors_of = {name: row[task_column(quantity, "mae", name)] for name in trainings}
        known = {name: error for name, error in errors_of.items() if not pd.isna(error)}
        row[best_column(quantity)] = min(known, key=known.__getitem__) if len(known) > 1 else None
    for name, training in trainings.items():
        row[parameters_column(name)] = training.card.parameters if training else None
    row[parameters_column(WHOLE)] = study.parents[task.model].card.parameters
    cost = task.metrics.cost
    row[SPEED_UP] = 1 / cost.time_ratio if cost else float("nan")
    return {**row, "source": OWN_SOURCE}


def _unit(sweep: Sweep) -> str:
    """Return what budgets are counted in, with the runtime of a time.

    >>> _unit(Sweep(unit="time", runtime="symmetrix")), _unit(Sweep(unit="time"))
    ('time in symmetrix', 'time')
    """
    return sweep.unit if sweep.runtime == "native" else f"{sweep.unit} in {sweep.runtime}"


def _deployed_columns(cost: RuntimeCost | None) -> dict[str, Any]:
    """Return the time in the runtime of deployments that budgets are measured in."""
    if cost is None:
        return {}
    return {
        f"time per call in {cost.runtime} [ms]": cost.seconds * 1e3,
        f"parent's time per call in {cost.runtime} [ms]": cost.parent_seconds * 1e3,
        f"time ratio in {cost.runtime}": cost.time_ratio,
        f"spread of the ratio in {cost.runtime} [%]": cost.time_ratio_spread * 1e2,
        f"speed-up in {cost.runtime}": 1 / cost.time_ratio,
        f"code timed in {cost.runtime}": cost.code,
    }


def _scaled(value: float | None, factor: float) -> float:
    return float("nan") if value is None else value * factor
