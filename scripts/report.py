"""Write the report of the study."""

from pathlib import Path

from _common import Job, run
from irrepress.report.page import write_report


def main(job: Job) -> None:
    out = Path(job.outputs.page).parent
    write_report(out.parent, job.config, out, Path("logs") / job.config.name)


run(main, snakemake)
