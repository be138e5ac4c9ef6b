"""Build a model with random weights from the config's settings, with a card beside it."""

from pathlib import Path

import numpy as np

from _common import FROM_SCRATCH, Job, run
from irrepress.core.family import make_untrained
from irrepress.core.files import sha256
from irrepress.core.statistics import measure_statistics
from irrepress.data.store import StructureStore
from irrepress.study.cards import Card
from irrepress.study.licences import model_licence

# Structures that scale and neighbours are measured on.
SAMPLE = 512


def main(job: Job) -> None:
    reference, seed = job.reference, job.params.seed
    store = StructureStore(job.inputs.store)
    train = store.require("train")
    chosen = np.random.default_rng(seed).permutation(train)[:SAMPLE]
    known = store.info.reference_energies  # none, if no structure has an energy
    references = {number: known.get(number, 0.0) for number in store.elements}
    data = measure_statistics(references, store.read(np.sort(chosen)))
    model = make_untrained(job.family, reference.untrained, data, seed=seed, modal=reference.modal)
    path = Path(job.outputs.model)
    model.save(path)
    Card.of_parent(
        path,
        name=job.name,
        family=reference.family,
        checkpoint=FROM_SCRATCH,
        checkpoint_sha256=sha256(path),
        shape=model.shape(),
        parameters=model.parameter_count(),
        licence=model_licence(reference),
        modal=reference.modal,
        seed=seed,
    ).save(job.outputs.card)


run(main, snakemake)
