# What all rules share: the checked config, the paths, and what a wildcard may be.
import json
import os
import re
import shutil
import signal
import sys
import threading
from pathlib import Path

from snakemake.io import WILDCARD_REGEX
from snakemake.settings.types import DeploymentMethod, RerunTrigger

# The library of this source tree is the one that runs, installed or not.
sys.path.insert(0, str(Path(workflow.basedir) / "src"))

try:
    from irrepress.study.cluster import SIGNAL, Asked, check_queue, check_resources, cluster_answers
    from irrepress.training.config import OF_THE_MACHINE, Training
    from irrepress.study.config import Config
    from irrepress.data.config import Files, Generated, Perturbed, Published
    from irrepress.study.reading import parse_config
    from irrepress.study.documents import Document
    from irrepress.study.contents import Contents
    from irrepress.study.environments import find_environments
    from irrepress.core.errors import UserError
    from irrepress.study.failures import failed_jobs, summary
    from irrepress.core.files import check_directory
    from irrepress.catalogue.families import is_path, published_checkpoint
    from irrepress.study.licences import model_licence, outdated, update
    from irrepress.study.paths import StudyPaths
    from irrepress.study.preflight import (
        check_study,
        known_families,
        labels_key,
        model_references,
        remarks,
    )
    from irrepress.data.paths import contents, locate
    from irrepress.report.datasets import used_datasets
    from irrepress.catalogue.datasets.registry import get_published
    from irrepress.core.terminal import print_readably
except ModuleNotFoundError as error:
    sys.exit(
        f"The workflow needs the Python package {error.name!r}, which this Python "
        f"({sys.executable}) lacks; run 'make setup' or create the environment envs/workflow.yaml."
    )


print_readably()


def config_names():
    """What messages call the files that the config was read from."""
    paths = map(Path, workflow.configfiles)
    here = Path.cwd()
    return [str(p.relative_to(here) if p.is_relative_to(here) else p) for p in paths]


def config_source():
    """What messages call the config."""
    return " + ".join(config_names()) or "config"


def checkpoint_download(model):
    """Collection and name of the file that a keyword stands for; None if it is not downloaded."""
    if model.checkpoint is None or is_path(model.checkpoint):
        return None
    published = published_checkpoint(model.family, model.checkpoint)
    return None if published is None else (model.family, published[0].name)


def checkpoint_file(model):
    """A checkpoint as an input of a rule: its file or the record of its download.

    Nothing for a keyword of a file that the family's own package holds, and for a model that the
    study trains from scratch.
    """
    if model.checkpoint is None:
        return []
    if is_path(model.checkpoint):
        return of_the_user([model.checkpoint])
    download = checkpoint_download(model)
    return [] if download is None else [DOWNLOAD.format(collection=download[0], file=download[1])]


def check_surroundings(config):
    """Check what the config names but does not hold: files, families, packages, systems."""
    check_directory(Path.cwd())
    choose_environments(config)
    check_study(config, config_source(), packages=not conda_is_used())


def slurm_is_used():
    """Whether this process sends jobs to SLURM, or would if it were no dry run; jobs do not."""
    if workflow.executor_plugin is not None and workflow.executor_plugin.name != "dryrun":
        return workflow.executor_plugin.name == "slurm"
    # Before Snakemake begins: only for other executors than the local one it counts nodes.
    return workflow.is_main_process and workflow.resource_settings.nodes is not None


def refuse_what_the_cluster_would():
    """End the run with one message if the cluster cannot run what is to be run."""
    needed = {job.rule.name for job in workflow.dag.needrun_jobs()}
    asked = asked_by(rule for rule in workflow.rules if rule.name in needed)
    file = workflow.executor_settings.partition_config or os.getenv("SNAKEMAKE_SLURM_PARTITIONS")
    try:
        check_resources(asked, gpu_type(), Path(file) if file else None)
        check_queue(Path.cwd())
    except UserError as error:
        sys.exit(str(error))


def refuse_what_no_cluster_has():
    """The same for dry runs, as far as it is known before the jobs are.

    That is partitions and types of GPUs, where a cluster can be asked.
    """
    if not slurm_is_used() or not cluster_answers():
        return
    try:
        check_resources({Asked(each.partition) for each in asked_by(workflow.rules)}, gpu_type())
    except UserError as error:
        sys.exit(str(error))


def asked_by(rules):
    """What jobs of some rules ask a cluster for."""
    # Partitions that are computed job by job are left to the executor.
    partitions = ((rule, plain_resource(rule, "slurm_partition")) for rule in rules)
    return [Asked(name, "gpu" in rule.resources) for rule, name in partitions if name != ""]


def gpu_type():
    """The type of the GPUs that jobs ask for."""
    return CONFIG.cluster.gpu_type if gpus() else None


def plain_resource(rule, name):
    """A resource of a rule that is a name; None if it is not set, "" if it is an expression."""
    resource = rule.resources.get(name)
    if resource is None or resource.raw is None and not callable(resource._value):
        return None
    return resource.raw if is_plain_name(resource.raw) else ""


def is_plain_name(text):
    """Whether a resource is a name, and no expression."""
    return isinstance(text, str) and re.fullmatch(r"[\w.-]+", text) is not None


def texts_of(logs):
    """Return the content of Snakemake's log, which it names in a list."""
    names = [logs] if isinstance(logs, str) else logs
    return [Path(name).read_text(encoding="utf-8") for name in names if Path(name).exists()]


def tell_what_was_made():
    """Print the models that the targets of this run stand for, and how to use them."""
    from irrepress.report.made import terminal_text  # at the end only: it takes a second

    outputs = {str(path) for job in workflow.dag.jobs for path in job.output}
    if text := terminal_text(sorted(outputs)):
        print(text, file=sys.stderr)


def conda_is_used():
    """Whether jobs run in the conda environments of their rules."""
    methods = workflow.deployment_settings.deployment_method
    return any(str(method) == "conda" for method in methods)


def choose_environments(config):
    """Decide where the jobs of each family run, and tell the jobs (scripts/_environment.py).

    In conda environments if the user or a profile asks for them; a profile does so for machines
    that have conda. Else in the Pythons that have the families' packages; and if there are none, in
    conda environments after all.
    """
    for variable in ("IRREPRESS_WORKFLOW_PREFIX", "IRREPRESS_PYTHONS"):
        os.environ.pop(variable, None)
    settings, here = workflow.deployment_settings, shutil.which("conda") is not None
    if conda_is_used() and not here:
        if is_told("--sdm", "--software-deployment-method", "--deployment-method", "--use-conda"):
            raise UserError(
                "--sdm conda: there is no conda on PATH; install it (conda-forge.org/download) "
                "and activate it, or leave --sdm out and set up the packages with 'make setup'"
            )
        settings.deployment_method = {m for m in settings.deployment_method if str(m) != "conda"}
        tell("there is no conda on PATH: jobs run in the environments that make sets up")
    if not conda_is_used():
        found = find_environments(known_families(config), Path(workflow.basedir))
        if found.lacking and here:
            settings.imply_deployment_method(DeploymentMethod.CONDA)
            families = " and ".join(found.lacking)
            setup = " ".join(f"setup-{family}" for family in found.lacking)
            tell(
                f"no Python here has {families}: jobs run in conda environments ('make {setup}' "
                "sets up others)"
            )
        elif found.pythons:
            pythons = {family: str(python) for family, python in found.pythons.items()}
            os.environ.update(IRREPRESS_PYTHONS=json.dumps(pythons))
            for family, python in pythons.items():
                tell(f"jobs of the family {family} run in {python}")
    if conda_is_used():
        os.environ.update(IRREPRESS_WORKFLOW_PREFIX=sys.prefix)


def keep_results_of_other_environments():
    """Count the same results as current whether or not conda is used, as the profiles do.

    Without this, ``make setup-mace`` after a run with conda would make everything anew. Snakemake
    takes its triggers from the command line and profiles only, after it has read this file.
    """

    class Workflow(type(workflow)):
        @property
        def rerun_triggers(self):
            return set(super().rerun_triggers) - {RerunTrigger.SOFTWARE_ENV}

    if not is_told("--rerun-triggers", "--rerun-trigger"):
        workflow.__class__ = Workflow


def update_texts():
    """Give the records of earlier runs the licences and citations that the config has now."""
    for path, texts in list(outdated(CONFIG, PATHS)):
        update(path, texts)
        tell(f"{path}: {' and '.join(texts)} written again, as the config has it")


# Jobs end with the process that started them (scripts/_common.py).
os.environ.update(IRREPRESS_WORKFLOW_PROCESS=str(os.getpid()))


def finish_jobs_on_interrupt():
    """Let SIGINT to Snakemake alone do what SIGTERM does: jobs that run are finished and counted.

    Snakemake waits for them anyway, but marks their results as incomplete. Ctrl-C reaches the
    jobs, too, which end at once; and a second one ends Snakemake as ever. Jobs on a cluster are
    cancelled, as ever.
    """
    graceful = signal.getsignal(signal.SIGTERM)
    if slurm_is_used() or not callable(graceful):
        return

    def interrupt(number, frame):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # Not here: this may interrupt what holds the lock that it takes.
        threading.Thread(target=graceful).start()

    signal.signal(signal.SIGINT, interrupt)


def is_told(*options):
    """Whether an option stands on the command line itself, and not in a profile."""
    return any(word.split("=")[0] in options for word in sys.argv[1:])


def tell(sentence):
    """Print a sentence, unless this process is a job of a run that has printed it."""
    if workflow.is_main_process:
        print(sentence, file=sys.stderr)


def paths_of(dataset):
    """The files of the user that a dataset is read from."""
    return [str(file) for path in locate(dataset).all() for file in contents(path)]


def holds_wildcard(path):
    """Whether Snakemake would take a part of a path for a wildcard, which it cannot be told."""
    return WILDCARD_REGEX.search(path) is not None


def content_of_files(dataset):
    """What the user's files of a dataset contain, for a parameter; None if there are none."""
    return content_of(paths_of(dataset)) if isinstance(dataset, Files) else None


def content_of_checkpoint(model):
    """What a checkpoint of the user contains, for a parameter; None for a keyword."""
    path = model.checkpoint
    return content_of([path]) if path is not None and is_path(path) else None


def content_of(paths):
    """One SHA-256 for the contents of files; None if one cannot be read, which its job tells."""
    try:
        return CONTENTS.of_all(paths)
    except UserError:
        return None


def of_the_user(paths):
    """Files of the user as inputs: parameters tell of their contents, times say nothing.

    Unless parameters are left out of what makes a job run again (--rerun-triggers).
    """
    paths = [path for path in paths if not holds_wildcard(path)]
    return list(map(ancient, paths)) if RerunTrigger.PARAMS in workflow.rerun_triggers else paths


def files_of(dataset):
    """What a dataset is read from: the user's files, or the records of downloads."""
    if isinstance(dataset, Files):
        return of_the_user(paths_of(dataset))
    entry = get_published(dataset.name)
    return [
        DOWNLOAD.format(collection=entry.collection, file=file.name)
        for file in (*entry.files, *entry.tables)
    ]


def data_of(name):
    """The store of a dataset."""
    return DATA.format(dataset=name)


def elements_source(wildcards):
    """The dataset whose elements a parent keeps, if it is to keep some only."""
    name = CONFIG.models[wildcards.model].restrict_to
    return {} if name is None else {"store": data_of(name)}


def taught_by(name):
    """The store of a dataset labelled by the parent, as the input of a rule.

    It is the dataset itself, if it has the labels of the parent already.
    """

    def store(wildcards):
        parent, labels = CONFIG.models[wildcards.model], getattr(
            CONFIG.datasets[name], "labels", None
        )
        if labels is not None and labels_key(labels) == labels_key(parent):
            return data_of(name)
        return TEACHER.format(model=wildcards.model, dataset=name)

    return store


def taught_parts(name):
    """The parts of a dataset that the parent labels: those that the study reads."""
    trained = CONFIG.distillation is not None and CONFIG.distillation.dataset == name
    tested = CONFIG.evaluation.dataset == name
    parts = ["train", "valid"] * trained + ["test"] * tested
    return parts or ["train", "valid", "test"]


def one_of(names):
    """The regular expression of a wildcard that is one of the names."""
    return "|".join(map(re.escape, names)) or "(?!)"


keep_results_of_other_environments()
try:
    # Snakemake has read the same files, but for what they say twice, or otherwise than it seems.
    CONFIG = parse_config(config, config_source(), list(map(Document, config_names())))
    check_surroundings(CONFIG)
except UserError as error:
    sys.exit(str(error))  # a WorkflowError would print the place in this file, too

for remark in remarks(CONFIG):
    tell(f"{config_source()}: {remark}")


COMPRESSED = CONFIG.compressed_models()
PLANS = list(CONFIG.plans())
# Plans that need data and the model, and not scores alone.
IN_ROUNDS = [name for name, recipe in CONFIG.plans().items() if recipe.in_rounds]
STAGES = [stage.name for stage in CONFIG.stages()]
# Models that the study trains from scratch.
UNTRAINED = [name for name, model in CONFIG.models.items() if model.untrained is not None]
# The downstream dataset, if it is the only one: the study is for what is fine-tuned on it.
FINAL_DATASETS = CONFIG.downstream.datasets if CONFIG.downstream is not None else []
FINAL_DATASETS = FINAL_DATASETS if len(FINAL_DATASETS) == 1 else []
# The stage that training begins with.
START = "pruned" if CONFIG.compensation is None else "compensated"
QUANTIZED_STAGES = [stage.name for stage in CONFIG.stages() if stage.bits is not None]
CONTENTS = Contents(".snakemake/irrepress/contents.json")
PUBLISHED = [
    get_published(dataset.name)
    for dataset in CONFIG.datasets.values()
    if isinstance(dataset, Published)
]
# Collection and name of every file that the config's datasets and checkpoints need.
DOWNLOADS = {
    (entry.collection, file.name) for entry in PUBLISHED for file in (*entry.files, *entry.tables)
}
DOWNLOADS |= {checkpoint_download(model) for _, model in model_references(CONFIG)} - {None}
GENERATED = [name for name, dataset in CONFIG.datasets.items() if isinstance(dataset, Generated)]
PERTURBED = [name for name, dataset in CONFIG.datasets.items() if isinstance(dataset, Perturbed)]

PATHS = StudyPaths.of(CONFIG.name)
RESULTS = f"results/{CONFIG.name}"
LOGS = f"logs/{CONFIG.name}"

DOWNLOAD = f"{CONFIG.downloads.directory}/{{collection}}/{{file}}.json"
DATA = f"{RESULTS}/data/{{dataset}}.h5"
SUMMARY = f"{RESULTS}/data/{{dataset}}.summary.json"
SCORES = f"{RESULTS}/{{model}}/scores.h5"
SHAPES = f"{RESULTS}/{{model}}/shapes.json"
PLAN = f"{RESULTS}/{{model}}/{{plan}}/plan.json"
MODEL = f"{RESULTS}/{{model}}/{{plan}}/{{stage}}"
METRICS = f"{MODEL}/metrics.json"
DOWNSTREAM = f"{MODEL}/downstream/{{dataset}}/{{start}}"
ARCHIVE = f"{RESULTS}/archives/{{model}}_{{plan}}_{{stage}}.tar.gz"
ARCHIVE_OF_FINAL = f"{RESULTS}/archives/{{model}}_{{plan}}_{{stage}}_{{start}}_{{dataset}}.tar.gz"
PARENT = f"{RESULTS}/{{model}}/parent/original"
START_OF_PARENT = f"{RESULTS}/{{model}}/parent/untrained"
TEACHER = f"{PARENT}/teacher/{{dataset}}.h5"


wildcard_constraints:
    model=one_of(CONFIG.models),
    plan=one_of(["parent", *PLANS]),
    stage=one_of(["original", *STAGES]),
    dataset=one_of(CONFIG.datasets),
    start="finetuned|scratch|restricted",


def family_of(name):
    """The family of a model of the config."""
    return CONFIG.models[name].family


def model_environment(wildcards):
    """The conda environment of the family that the job's model belongs to."""
    return f"../envs/{family_of(wildcards.model)}.yaml"


def labels_environment(wildcards):
    """The conda environment of the family that labels a dataset."""
    return f"../envs/{CONFIG.datasets[wildcards.dataset].labels.family}.yaml"


def settings(section):
    """A section of the config as a parameter of a rule: when it changes, the rule runs again.

    Licences and citations change no number: records are given the new ones (update_texts).
    """
    if section is None:
        return None
    leave_out = OF_THE_MACHINE if isinstance(section, Training) else set()
    if not isinstance(section, Config):
        texts = {"licence", "citation", "accept_licence"}
        leave_out = {key: True for key in {*leave_out, *texts}} | {"labels": texts}
    return section.model_dump(mode="json", exclude=leave_out)


def timed_shapes(wildcards):
    """The table that times are predicted from, where budgets are counted in time."""
    return [SHAPES.format(**wildcards)] if CONFIG.sweep.unit == "time" else []


def guides(wildcards):
    """What a distillation reads beside the teacher's labels, if it follows features, too."""
    if CONFIG.distillation.features == 0:
        return {}
    return {
        "parent": f"{PARENT}/model.pt".format(**wildcards),
        "plan": PLAN.format(**wildcards),
    }


def trained_metrics(*stages):
    """The metrics of the trained plans at some stages that the config asks for."""
    wanted = [stage for stage in stages if stage in STAGES]
    return expand(METRICS, model=COMPRESSED, plan=CONFIG.train_plans, stage=wanted)


def archives_of_trained_models():
    """The archives of the trained plans at their last stages, or of all plans if none is trained.

    Where there is one downstream dataset, they are of what was fine-tuned on it, too.
    """
    plans = CONFIG.train_plans or PLANS
    if FINAL_DATASETS and CONFIG.train_plans:
        common = {"model": COMPRESSED, "plan": plans, "dataset": FINAL_DATASETS}
        stage = CONFIG.downstream.stage
        finals = expand(ARCHIVE_OF_FINAL, stage=stage, start=["finetuned"], **common)
    else:
        finals = []
    stages = [stage for stage in STAGES if stage not in ("pruned", "compensated")] or ["pruned"]
    trained = expand(ARCHIVE, model=COMPRESSED, plan=plans, stage=stages)
    # Of a study that only prunes and fine-tunes, nothing else is worth an archive.
    return finals if finals and stages == ["pruned"] else [*trained, *finals]


def downstream_metrics():
    """The metrics of every downstream task: compressed, and its baselines."""
    if CONFIG.downstream is None:
        return []
    common = {"model": COMPRESSED, "dataset": CONFIG.downstream.datasets}
    pattern = f"{DOWNSTREAM}/metrics.json"
    baselines = CONFIG.downstream.baselines
    tasks = expand(
        pattern,
        plan=CONFIG.train_plans,
        stage=CONFIG.downstream.stage,
        start=["finetuned", "scratch"] if "scratch" in baselines else ["finetuned"],
        **common,
    )
    starts = [
        s for b, s in (("parent", "finetuned"), ("restricted", "restricted")) if b in baselines
    ]
    tasks += expand(pattern, plan="parent", stage="original", start=starts, **common)
    return tasks


def plan_settings(name):
    """How a plan is made, as a parameter of its rule."""
    sweep = settings(CONFIG.sweep)
    shared = {key: sweep[key] for key in ("unit", "multiple", "floor", "normalization")}
    return {**CONFIG.plans()[name].record(), **shared}
