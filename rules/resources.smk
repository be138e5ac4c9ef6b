# What jobs ask for, in one place. Memory and time grow with every attempt; a profile can set
# others for single rules (set-resources, set-threads).


import ast

TRAININGS = {"recover", "distill", "fine_tune"}


def minutes(base, per_gigabyte=0):
    """A time limit in minutes: more for large inputs and with every attempt, up to the config's."""

    def runtime(wildcards, input, attempt):
        wanted = (base + per_gigabyte * gigabytes(input)) * attempt
        return int(min(wanted, CONFIG.cluster.max_minutes))

    return runtime


def memory(base, per_gigabyte=0):
    """A memory limit in MB: more for large inputs and with every attempt, up to the config's."""

    def mem_mb(wildcards, input, attempt):
        wanted = (base + per_gigabyte * gigabytes(input)) * attempt
        return int(min(wanted, CONFIG.cluster.max_memory or wanted))

    return mem_mb


def gigabytes(files):
    """Size of a job's inputs; 0 for those that are yet to be made."""
    return sum(os.path.getsize(file) for file in files if os.path.exists(file)) / 1e9


def gpus(count=1):
    """Resources of a job that computes on GPUs; none if the config says that it uses the CPU."""
    if CONFIG.device == "cpu":
        return {}
    kind = CONFIG.cluster.gpu_type
    return {"gpu": count} | ({"gpu_model": kind} if kind else {})


def training(section):
    """Resources of a training: GPUs, and the tasks that its ranks are under SLURM.

    The key mpi tells the executor to leave srun to the script.
    """
    asked = gpus(section.ranks) | warning_before_the_limit()
    if section.ranks == 1:
        return asked
    if section.devices > 1:
        tasks = {"tasks_per_node": section.devices}
    else:
        tasks = {"tasks": section.nodes, "tasks_per_gpu": 0}
    return asked | {"mpi": "srun", "nodes": section.nodes} | tasks


def warning_before_the_limit():
    """What has SLURM send SIGTERM to a training before its time limit, so that it saves itself.

    It stands in the rules, beside what the defaults tell sbatch: --default-resources on the
    command line takes the place of all those of a profile.
    """
    if not slurm_is_used():
        return {}
    default = workflow.resource_settings._parsed_default_resources.get("slurm_extra").raw or ""
    try:
        default = ast.literal_eval(default)  # an expression, most often a quoted text
    except (ValueError, SyntaxError):
        pass
    return {"slurm_extra": default if "--signal" in default else f"{default} {SIGNAL}".strip()}


def warn_of_trainings_without_warning():
    """Say which trainings lose what they compute after their last checkpoint, and why."""
    if not slurm_is_used():
        return
    for each in workflow.rules:
        extra = each.resources.get("slurm_extra").raw
        trains = each.name in TRAININGS or each.name.startswith("train_from_scratch_")
        if trains and isinstance(extra, str) and "--signal" not in extra:
            tell(
                f"set-resources: {each.name}:slurm_extra leaves out {SIGNAL}, without which a "
                "training does not save itself before its time limit; add it"
            )
