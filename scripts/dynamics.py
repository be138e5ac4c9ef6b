"""Run molecular dynamics with a saved model, by the family's own calculator."""

from _common import Job, run
from irrepress.data.dynamics import supercell
from irrepress.evaluation.config import Dynamics
from irrepress.evaluation.physics.dynamics import choose_start, run_dynamics


def main(job: Job) -> None:
    settings = job.section(Dynamics)
    store = job.open_store(job.inputs.store, job.load(job.inputs.model))
    structure, source = choose_start(store)
    run_dynamics(
        supercell(structure, settings.atoms),
        job.family.calculator(job.inputs.model, device=str(job.device), modal=job.reference.modal),
        settings,
        seed=job.params.seed,
        dataset=job.wildcards.dataset,
        source=source,
        code=job.family.own_code(),
        device=str(job.device),
    ).save(job.outputs.dynamics)


run(main, snakemake)
