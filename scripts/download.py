"""Download a file of a published dataset or checkpoint, and record what came."""

from pathlib import Path

from _common import Job, run
from irrepress.catalogue.datasets.registry import get_file
from irrepress.catalogue.families import find_checkpoint_file
from irrepress.core.files import write_json
from irrepress.download.download import download


def main(job: Job) -> None:
    collection, name = job.wildcards.collection, job.wildcards.file
    settings = job.downloads
    file = find_checkpoint_file(collection, name) or get_file(collection, name)
    record = Path(job.outputs.record)
    sha256 = download(
        file,
        record.with_name(name),
        mirror=settings.mirror,
        collection=collection,
        retries=settings.retries,
        timeout=settings.timeout,
    )
    write_json(record, {"file": name, "sha256": sha256, "urls": file.urls})


run(main, snakemake)
