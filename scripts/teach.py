"""Label a dataset by the parent: for distillation, and for the agreement with the parent."""

from dataclasses import replace

from _common import Job, labels_of, run
from irrepress.evaluation.predictions import label
from irrepress.structures.writing import write_store


def main(job: Job) -> None:
    parent = job.load(job.inputs.model)
    store = job.open_store(job.inputs.store, parent)
    labelled = label(job.family, parent, store.iterate(), device=job.config.device)
    info = replace(store.info, labels=labels_of(job.reference), reference_energies={})
    write_store(job.outputs.store, labelled, info, store.splits, job.config.seed)


run(main, snakemake)
