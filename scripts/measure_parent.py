"""Measure the reference values of a parent, which its models are validated with."""

from _common import Job, run
from _validation import as_fast_as_it_can, kept
from irrepress.evaluation.physics.config import Validation
from irrepress.evaluation.physics.validation import choose_samples, measure_parent


def main(job: Job) -> None:
    settings = job.section(Validation)
    store = job.open_store(job.inputs.store, job.load(job.inputs.model))
    partial = kept(job.outputs.reference)
    measure_parent(
        choose_samples(store, settings.structures),
        as_fast_as_it_can(job),
        settings,
        seed=job.params.seed,
        kept=partial,
    ).save(job.outputs.reference)
    partial.unlink(missing_ok=True)


run(main, snakemake)
