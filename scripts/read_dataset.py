"""Read a dataset from the user's files into an HDF5 store."""

from _common import Job, run
from irrepress.structures.readers import store_files


def main(job: Job) -> None:
    store_files(job.outputs.store, job.config.datasets[job.wildcards.dataset])


run(main, snakemake)
