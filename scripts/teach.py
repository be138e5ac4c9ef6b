"""Label a dataset by the parent: for distillation, and for the agreement with the parent."""

import logging
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from _common import Job, labels_of, run
from irrepress.core.structure import Structure
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store
from irrepress.evaluation.predictions import label

logger = logging.getLogger("teach")


def main(job: Job) -> None:
    parent = job.load(job.inputs.model).to(job.device)
    store = job.open_store(job.inputs.store, parent)
    wanted = np.concatenate([store.splits[part] for part in job.params.parts])
    parts = ", ".join(job.params.parts)
    logger.info("%s: %d structures (%s), to be labelled", store.path, len(wanted), parts)
    labelled = label(
        parent,
        store.iterate(np.sort(wanted)),
        name=job.inputs.model,
    )
    info = replace(store.info, labels=labels_of(job.reference), reference_energies={})
    structures = among_all(store, labelled, wanted)
    write_store(
        job.outputs.store, structures, info, store.splits, job.params.seed, total=len(store)
    )
    logger.info("%s: %d structures are labelled", store.path, len(wanted))


def among_all(
    store: StructureStore, labelled: Iterator[Structure], wanted: np.ndarray
) -> Iterator[Structure]:
    """Yield the structures of a store in their order, without labels where none are wanted.

    Labels of a large parent cost more than all the rest of some studies.
    """
    is_wanted = np.zeros(len(store), dtype=bool)
    is_wanted[wanted] = True
    for structure, taken in zip(store.iterate(), is_wanted, strict=True):
        yield next(labelled) if taken else structure.without_labels()


run(main, snakemake)
