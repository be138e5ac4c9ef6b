"""Perturb the structures of another dataset, label them by a model, and write a store."""

import logging

from _common import Job, labelled_info, run
from irrepress.data.checks import check_elements, checked
from irrepress.data.sources.config import Perturbed
from irrepress.data.sources.perturb import Perturbations
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store

logger = logging.getLogger("perturb")


def main(job: Job) -> None:
    name = job.wildcards.dataset
    dataset, reference = job.section(Perturbed), job.reference
    source = StructureStore(job.inputs.source)
    labeller = job.labeller
    who = f"{source.path} and datasets.{name}.labels"
    check_elements(source.elements, labeller.model.elements, who)
    perturbations = Perturbations(source, dataset)
    info = labelled_info(source.info, reference, f"strained and rattled structures of {dataset.of}")
    logger.info("datasets.%s: %s, to be labelled by %s", name, perturbations, info.labels)
    write_store(
        job.outputs.store,
        checked(labeller.label(perturbations), f"datasets.{name} (lower rattle or strain)"),
        info,
        perturbations.splits,
        dataset.seed,
        total=len(perturbations),
    )
    logger.info("datasets.%s: %d structures are labelled", name, len(perturbations))


run(main, snakemake)
