# What all rules share: the checked config, the paths, and what a wildcard may be. What is decided
# here is decided by the library (irrepress.study), which has its unit tests.
import runpy
import sys
from pathlib import Path

# The library that lies beside this workflow is the one that runs.
LIBRARY = runpy.run_path(str(Path(workflow.basedir) / "scripts" / "_library.py"))

try:
    from irrepress.core.errors import UserError
    from irrepress.core.terminal import print_readably
    from irrepress.data.datasets import labelling_model_of, structures_of
    from irrepress.data.sources.config import Drawn
    from irrepress.study.contents import Contents
    from irrepress.study.inputs import Inputs, downloads
    from irrepress.study.licences import model_licence, outdated, update
    from irrepress.study.parameters import (
        apart,
        parameters,
        plan_parameters,
        runtime_parameter,
        untracked,
    )
    from irrepress.study.paths import PARENT_PLAN, PARENT_STAGE, DownloadPaths, StudyPaths
    from irrepress.study.targets import Targets
    from irrepress.study.uses import labelled_parts
    from irrepress.study.workflow import Run, one_of, tell_what_failed
except ModuleNotFoundError as error:
    sys.exit(
        f"The workflow needs the Python package {error.name!r}, which this Python "
        f"({sys.executable}) lacks; run {LIBRARY['set_up']('workflow')!r} or create the environment "
        "envs/workflow.yaml."
    )


def or_exit(check, *arguments):
    """Call a function; a mistake of the user ends the run with its message and nothing else."""
    try:
        return check(*arguments)
    except UserError as error:
        sys.exit(str(error))  # a WorkflowError would print the place in this file, too


print_readably()
RUN = Run(workflow)
RUN.keep_results_of_other_environments()
CONFIG = or_exit(RUN.read_config, config)

PATHS = StudyPaths.of(CONFIG.name)
DOWNLOADS = DownloadPaths(Path(CONFIG.downloads.directory))
TARGETS = Targets(CONFIG, PATHS)
INPUTS = Inputs(CONFIG, PATHS, Contents(".snakemake/irrepress/contents.json"), RUN.of_the_user)

PLANS = CONFIG.plans()
# Models that the study trains from scratch.
UNTRAINED = CONFIG.untrained_models()
READ = ("files", "published")
# Datasets that are read, and then labelled by a model.
LABELLED = [
    name
    for name, dataset in CONFIG.datasets.items()
    if dataset.source in READ and labelling_model_of(dataset) is not None
]
# Parents, stages of plans, and what is made of them for downstream datasets.
PARENT, STAGE, TASK = PATHS.parent(), PATHS.stage(), PATHS.task()
# What recovery and distillation begin with.
START = PATHS.stage(stage=CONFIG.training_start.name)
# What refinement begins with.
UNREFINED = PATHS.stage(stage=CONFIG.refinement_start.name)
# What can be quantized or exported.
SOURCE = PATHS.stage(stage="{source}")


wildcard_constraints:
    model=one_of(CONFIG.models),
    plan=one_of([PARENT_PLAN, *PLANS]),
    stage=one_of([PARENT_STAGE, *(stage.name for stage in CONFIG.stages())]),
    source="pruned|compensated|recovered|distilled|refined",
    dataset=one_of(CONFIG.datasets),
    start="finetuned|scratch|restricted",


def datasets_from(*sources):
    """The names of the datasets with some of the sources."""
    return [name for name, dataset in CONFIG.datasets.items() if dataset.source in sources]


def model_of(wildcards):
    """The section of the job's model in the config."""
    return CONFIG.models[wildcards.model]


def dataset_of(wildcards):
    """The section of the job's dataset in the config."""
    return CONFIG.datasets[wildcards.dataset]


def model_environment(wildcards):
    """The conda environment of the family that the job's model belongs to."""
    return f"../envs/{model_of(wildcards).family}.yaml"


def labels_environment(wildcards):
    """The conda environment of the family that labels a dataset."""
    return f"../envs/{dataset_of(wildcards).labels.family}.yaml"


# What scripts are told that decides nothing about their results (irrepress.study.parameters).
MODEL = {"model": untracked(model_of)}
ON_DEVICE = MODEL | {"device": untracked(CONFIG.device)}
KEPT_LABELS = {"kept_labels": untracked(CONFIG.kept_labels)}
LABELLING = KEPT_LABELS | {
    "model": untracked(lambda wildcards: dataset_of(wildcards).labels),
    "device": untracked(CONFIG.device),
    "downloads": untracked(CONFIG.downloads),
}
SEED = {"seed": untracked(CONFIG.seed)}


def update_texts():
    """Give the records of earlier runs the licences and citations that the config has now."""
    for path, texts in list(outdated(CONFIG, PATHS)):
        update(path, texts)
        RUN.tell(f"{path}: {' and '.join(texts)} written again, as the config has it")


def tell_what_was_made():
    """Print the models that this run has made, and how to use them."""
    from irrepress.report.made import terminal_text  # at the end only: it takes a second

    RUN.tell_what_was_made(terminal_text)
