"""Write the report of the study."""

from pathlib import Path

from _common import Job, run
from irrepress.report.page import write_report
from irrepress.study.config import Config
from irrepress.study.paths import StudyPaths


def main(job: Job) -> None:
    config = job.section(Config)
    paths = StudyPaths.of(config.name)
    write_report(paths.results, config, Path(job.outputs.page).parent, paths.logs)


run(main, snakemake)
