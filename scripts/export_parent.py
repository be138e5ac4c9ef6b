"""Bring a checkpoint into its family's native format, with a card beside it."""

from pathlib import Path

from _common import Job, checked_checkpoint, load_model, run
from irrepress.core.files import sha256
from irrepress.pruning.elements import keep_elements
from irrepress.study.cards import Card
from irrepress.study.licences import model_licence


def main(job: Job) -> None:
    reference = job.reference
    source = checked_checkpoint(reference, job.downloads)
    model = load_model(source, reference)
    stages = []
    if reference.restrict_to is not None:
        store = job.open_store(job.inputs.store, model)
        model, record = keep_elements(model, store.elements, f"dataset {reference.restrict_to}")
        stages.append(record)
    path = Path(job.outputs.model)
    model.save(path)
    Card.of_parent(
        path,
        name=job.name,
        family=reference.family,
        checkpoint=reference.checkpoint,
        checkpoint_sha256=sha256(source),
        shape=model.shape(),
        parameters=model.parameter_count(),
        licence=model_licence(reference),
        modal=reference.modal,
        seed=job.params.seed,
        stages=stages,
    ).save(job.outputs.card)


run(main, snakemake)
