"""Perturb the structures of another dataset, label them by a model, and write a store."""

import logging
from collections.abc import Iterable, Iterator

from _common import Job, labelling_model, labels_of, run
from irrepress.core.structure import Structure
from irrepress.data.checks import check_elements, check_structure
from irrepress.data.config import Perturbed
from irrepress.data.layout import StoreInfo
from irrepress.data.sources.perturb import Perturbations
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store
from irrepress.evaluation.predictions import label

logger = logging.getLogger("perturb")


def main(job: Job) -> None:
    name = job.wildcards.dataset
    dataset, reference = job.section(Perturbed), job.reference
    source = StructureStore(job.inputs.source)
    model = labelling_model(reference, job.downloads)
    check_elements(source.elements, model.elements, f"{source.path} and datasets.{name}.labels")
    perturbations = Perturbations(source, dataset)
    info = StoreInfo(
        source=f"strained and rattled structures of {dataset.of}: {source.info.source}",
        licence=f"{source.info.licence}, labels {reference.licence or 'as the labelling model'}",
        citation=source.info.citation,
        level_of_theory=reference.modal or "as the labelling model",
        labels=labels_of(reference),
        checksum=source.info.checksum,
    )
    logger.info("datasets.%s: %s, to be labelled by %s", name, perturbations, info.labels)
    labelled = label(model.to(job.device), perturbations, name=info.labels)
    write_store(
        job.outputs.store,
        checked(labelled, name),
        info,
        perturbations.splits,
        dataset.seed,
        total=len(perturbations),
    )
    logger.info("datasets.%s: %d structures are labelled", name, len(perturbations))


def checked(structures: Iterable[Structure], name: str) -> Iterator[Structure]:
    """Yield structures as long as the model's labels are sane."""
    for index, structure in enumerate(structures):
        where = f"datasets.{name} (lower rattle or strain): structure {index}, {structure.group}"
        check_structure(structure, where)
        yield structure


run(main, snakemake)
