"""Read a dataset, the user's or a published one, into an HDF5 store."""

from pathlib import Path

from _common import Job, run
from irrepress.core.files import read_json
from irrepress.data.config import Published
from irrepress.data.convert import store_files, store_published
from irrepress.data.datasets import Dataset


def main(job: Job) -> None:
    dataset = job.section(Dataset)
    store, workers = job.outputs.store, job.threads
    if isinstance(dataset, Published):
        checksums = [read_json(record)["sha256"] for record in job.inputs.files]
        directory = Path(job.downloads.directory)
        store_published(store, dataset, directory, checksums, workers)
    else:
        store_files(store, dataset, workers)


run(main, snakemake)
