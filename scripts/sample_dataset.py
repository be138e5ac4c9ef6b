"""Run molecular dynamics with the labelling model, and write the frames into a store."""

import hashlib
import json
import logging
from functools import partial
from pathlib import Path

import torch

from _common import Job, checked_checkpoint, labelled_info, labelling_model, run
from irrepress.core.calculator import ModelCalculator
from irrepress.core.descriptors import describe
from irrepress.core.files import sha256
from irrepress.data.checks import check_elements
from irrepress.data.sources.config import Sampled
from irrepress.data.sources.sample import Sampling
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store

logger = logging.getLogger("sample")


def main(job: Job) -> None:
    name = job.wildcards.dataset
    dataset, reference = job.section(Sampled), job.reference
    source = StructureStore(job.inputs.source)
    model = labelling_model(reference, job.downloads)
    check_elements(source.elements, model.elements, f"{source.path} and datasets.{name}.labels")
    workers = workers_on(job)
    model = model.to(job.device)
    calculator = ModelCalculator(model)
    sampling = Sampling(
        source,
        dataset,
        calculator,
        runs_folder(job),
        partial(describe, model, elements=source.elements, evaluator=calculator.evaluator),
        name,
    )
    info = labelled_info(source.info, reference, f"dynamics from structures of {dataset.of}")
    logger.info("datasets.%s: %s, by %s", name, sampling, info.labels)
    sampling.run(workers)
    write_store(
        job.outputs.store,
        sampling.frames(),
        info,
        sampling.splits,
        dataset.seed,
        total=len(sampling),
    )
    sampling.clear()


def workers_on(job: Job) -> int:
    """Return how many processes make runs: one per core, and one alone on a GPU."""
    if job.device.type != "cpu":
        return 1
    torch.set_num_threads(1)  # independent runs share cores better than one run does
    return int(job.threads)


def runs_folder(job: Job) -> Path:
    """Return where finished runs lie: beside the store, by what determines them."""
    checkpoint = checked_checkpoint(job.reference, job.downloads)
    parts = [
        json.dumps(dict(job.params.settings), sort_keys=True),
        sha256(checkpoint),
        sha256(job.inputs.source),
    ]
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    store = Path(job.outputs.store)
    return store.with_name(f".{store.stem}.runs-{digest}")


run(main, snakemake)
