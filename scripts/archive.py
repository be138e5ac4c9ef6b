"""Pack a model, its card, its metrics, its licence and its methods text into one archive."""

from _common import Job, run
from irrepress.study.archives import write_archive


def main(job: Job) -> None:
    files = {"model.pt": job.inputs.model, "metrics.json": job.inputs.metrics}
    write_archive(job.outputs.archive, files, job.inputs.card)


run(main, snakemake)
