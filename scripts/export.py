"""Write a model in another type of numbers."""

import torch

from _common import Job, run


def main(job: Job) -> None:
    dtype = job.wildcards.dtype
    model = job.load(job.inputs.model)
    stage = {"stage": dtype, "of": job.wildcards.source, "from": str(model.dtype)}
    job.save(model, stage, dtype=getattr(torch, dtype))


run(main, snakemake)
