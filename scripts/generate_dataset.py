"""Build structures, label them by a model, and write them into an HDF5 store."""

from _common import Job, labelling_model, labels_of, run
from irrepress.evaluation.predictions import label
from irrepress.structures.generate import generate
from irrepress.structures.layout import StoreInfo
from irrepress.structures.writing import write_store


def main(job: Job) -> None:
    dataset = job.config.datasets[job.wildcards.dataset]
    reference = dataset.labels
    family, model = labelling_model(reference, job.config.downloads)
    info = StoreInfo(
        source=f"generated: {', '.join(dataset.systems)}",
        licence=reference.licence or "as the labelling model",
        citation="",
        level_of_theory=reference.modal or "as the labelling model",
        labels=labels_of(reference),
        checksum="",
    )
    structures = label(family, model, generate(dataset), device=job.config.device)
    write_store(job.outputs.store, structures, info, dataset.split, dataset.seed)


run(main, snakemake)
