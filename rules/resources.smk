# What jobs ask for, in one place. Memory and time grow with every attempt; a profile can set
# others for single rules (set-resources, set-threads).


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
    asked = gpus(section.ranks)
    if section.ranks == 1:
        return asked
    if section.devices > 1:
        tasks = {"tasks_per_node": section.devices}
    else:
        tasks = {"tasks": section.nodes, "tasks_per_gpu": 0}
    return asked | {"mpi": "srun", "nodes": section.nodes} | tasks
