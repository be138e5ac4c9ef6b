"""Measure what users do with a model beside its parent, and let its card say how it went."""

from _common import Job, run
from _validation import as_users_run, kept, tuned_on
from irrepress.evaluation.physics.config import Validation
from irrepress.evaluation.physics.measurements import Measurements
from irrepress.evaluation.physics.validation import validate
from irrepress.study.cards import mark_validated


def main(job: Job) -> None:
    settings = job.section(Validation)
    partial = kept(job.outputs.validation)
    reference = Measurements.load(job.inputs.reference)
    alike = tuned_on(job.inputs.model) == tuned_on(job.inputs.reference)
    validated = validate(as_users_run(job), reference, settings, alike=alike, kept=partial)
    mark_validated(job.inputs.card, validated.mark())
    validated.save(job.outputs.validation)
    partial.unlink(missing_ok=True)


run(main, snakemake)
