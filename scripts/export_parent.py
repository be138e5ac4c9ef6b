"""Bring a checkpoint into its family's native format, with a card beside it."""

from pathlib import Path

from _common import Job, checked_checkpoint, run
from irrepress.cards import parent_card, write_card
from irrepress.config import ModelRef
from irrepress.families.registry import published_checkpoint
from irrepress.files import sha256
from irrepress.pruning.elements import keep_elements


def licence_of(reference: ModelRef) -> str | None:
    """Return the licence of a published checkpoint, if it is one."""
    published = published_checkpoint(reference.family, reference.checkpoint)
    return published[1].name if published else None


def main(job: Job) -> None:
    reference = job.reference
    source = checked_checkpoint(job.family, reference, job.config.downloads)
    model = job.load(source)
    stages = []
    if reference.restrict_to is not None:
        store = job.open_store(job.inputs.store, model)
        model, record = keep_elements(
            job.family, model, store.elements, f"dataset {reference.restrict_to}"
        )
        stages.append(record)
    path = Path(job.outputs.model)
    job.family.save(model, path)
    card = parent_card(
        name=job.name,
        model_path=path,
        family=reference.family,
        checkpoint=reference.checkpoint,
        checkpoint_sha256=sha256(source),
        shape=job.family.shape(model),
        parameters=model.parameter_count(),
        licence=reference.licence or licence_of(reference),
        modal=reference.modal,
        seed=job.config.seed,
    ) | {"stages": stages}
    write_card(job.outputs.card, card)


run(main, snakemake)
