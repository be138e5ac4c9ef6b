"""Restrict a parent to the elements of a downstream dataset, and evaluate it as it is."""

import copy
from itertools import islice

from _common import Job, run
from irrepress.evaluation.errors import compute_errors
from irrepress.evaluation.metrics import measure_errors
from irrepress.evaluation.predictions import label
from irrepress.evaluation.records import Errors
from irrepress.pruning.elements import keep_elements
from irrepress.training.energy_shifts import fit_energy_shifts

# Test structures on which it is compared with the whole parent, to show that nothing is lost.
COMPARED = 16


def main(job: Job) -> None:
    batch_size = job.params.batch_size
    parent = job.load(job.inputs.model)
    store = job.open_store(job.inputs.store, parent)
    name = job.wildcards.dataset
    model, record = keep_elements(parent, store.elements, f"dataset {name}")
    job.save(model, record)

    tested = list(islice(store.iterate(store.require("test")), COMPARED))
    of_parent = label(parent.to(job.device), tested, batch_size=batch_size)
    _, agreement = compute_errors(model.to(job.device), tested, of_parent, batch_size=batch_size)
    # The dataset may be of another level of theory; see fine_tune.py.
    shifted = copy.deepcopy(model)
    shifts = fit_energy_shifts(shifted, store)
    shifted.shift_energies(shifts)
    metrics = measure_errors(
        shifted,
        store,
        alignment="never",  # the shifts were fitted to these labels
        knows_labels=True,
        name=job.outputs.model,
        batch_size=batch_size,
    )
    metrics.model_copy(
        update={
            "errors": metrics.errors.model_copy(update={"parent": Errors(**agreement)}),
            "energy_shifts": {str(z): energy for z, energy in shifts.items()},
        }
    ).save(job.outputs.metrics)


run(main, snakemake)
