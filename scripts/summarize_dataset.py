"""Say what a dataset holds, and which of its structures look wrong."""

from _common import Job, run
from irrepress.core.files import write_json
from irrepress.data.store import StructureStore
from irrepress.data.summary.scan import summarize


def main(job: Job) -> None:
    summary = summarize(StructureStore(job.inputs.store), workers=job.snakemake.threads)
    write_json(job.outputs.summary, summary.model_dump())


run(main, snakemake)
