"""Write a model in the form of a runtime, check it there, and time it beside its parent."""

from pathlib import Path

from _common import Job, name_of, run
from irrepress.deploy.deployment import Source, deploy
from irrepress.deploy.golden import choose_structures
from irrepress.deploy.target import get_target
from irrepress.study.cards import Card
from irrepress.study.sections import Deploy


def main(job: Job) -> None:
    settings = job.section(Deploy)
    model, parent = job.load(job.inputs.model), job.load(job.inputs.parent)
    structures = None
    if settings.dataset is not None:
        store = job.open_store(job.inputs.store, model)
        structures = choose_structures(store, settings.structures)
    deploy(
        Source(
            model.to(job.device), name_of(job.inputs.model), Card.load(job.inputs.card).content()
        ),
        get_target(
            job.wildcards.target,
            own_form=settings.own_form,
            lammps=settings.lammps,
            cuequivariance=settings.cuequivariance,
        ),
        Path(job.outputs.deployment).parent,
        settings,
        structures=structures,
        parent=Source(parent.to(job.device), name_of(job.inputs.parent)),
        device=str(job.device),
        overwrite=True,  # Snakemake has made the folder
    )


run(main, snakemake)
