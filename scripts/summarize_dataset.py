"""Say what a dataset holds, and which of its structures look wrong."""

from _common import Job, run
from irrepress.data.store import StructureStore
from irrepress.data.summary.scan import summarize


def main(job: Job) -> None:
    summary = summarize(StructureStore(job.inputs.store), workers=job.threads)
    summary.save(job.outputs.summary)


run(main, snakemake)
