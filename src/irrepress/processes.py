"""Which of several processes of one job this is; needs nothing but the standard library."""

import os

# Set for the processes that srun started for a job: SLURM's own variables are those of any job.
STARTED_BY_SRUN = "IRREPRESS_STARTED_BY_SRUN"


def is_first() -> bool:
    """Say whether this process is the one that writes files: the first rank, or the only one."""
    rank = os.environ.get("SLURM_PROCID") if STARTED_BY_SRUN in os.environ else None
    return int(rank or os.environ.get("LOCAL_RANK", 0)) == 0
