"""Build structures, label them by a model, and write them into an HDF5 store."""

import logging

from _common import Job, labels_of, run
from irrepress.data.checks import check_elements
from irrepress.data.layout import StoreInfo
from irrepress.data.sources.config import Generated
from irrepress.data.sources.generate import elements_of, generate
from irrepress.data.writing import write_store

logger = logging.getLogger("generate")


def main(job: Job) -> None:
    dataset, reference = job.section(Generated), job.reference
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
    labeller = job.labeller
    elements, known = elements_of(dataset), labeller.model.elements
    check_elements(elements, known, f"datasets.{name}.systems and datasets.{name}.labels")
    structures = labeller.label(generate(dataset))
    write_store(job.outputs.store, structures, info, dataset.split, dataset.seed, total=count)
    logger.info("datasets.%s: %d structures are labelled", name, count)


run(main, snakemake)
