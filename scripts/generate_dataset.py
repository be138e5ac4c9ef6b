"""Build structures, label them by a model, and write them into an HDF5 store."""

import logging

from _common import Job, labelling_model, labels_of, run
from irrepress.data.config import Generated
from irrepress.data.layout import StoreInfo
from irrepress.data.sources.generate import generate
from irrepress.data.writing import write_store
from irrepress.evaluation.predictions import label

logger = logging.getLogger("generate")


def main(job: Job) -> None:
    dataset, reference = job.section(Generated), job.reference
    model = labelling_model(reference, job.downloads)
    info = StoreInfo(
        source=f"generated: {', '.join(dataset.systems)}",
        licence=reference.licence or "as the labelling model",
        citation="",
        level_of_theory=reference.modal or "as the labelling model",
        labels=labels_of(reference),
        checksum="",
    )
    name, count = job.wildcards.dataset, dataset.count
    logger.info("datasets.%s: %d structures, to be labelled by %s", name, count, info.labels)
    structures = label(model.to(job.device), generate(dataset), name=info.labels)
    write_store(job.outputs.store, structures, info, dataset.split, dataset.seed, total=count)
    logger.info("datasets.%s: %d structures are labelled", name, count)


run(main, snakemake)
