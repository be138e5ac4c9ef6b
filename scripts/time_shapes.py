"""Time shapes of a parent on this machine, so that its time at any widths can be predicted."""

import logging

import torch

from _common import Job, run
from irrepress.evaluation.shapes import time_shapes
from irrepress.evaluation.timing import reference_crystal
from irrepress.pruning.latency import TimeTable
from irrepress.pruning.shapes import design_shapes
from irrepress.study.cards import versions


def main(job: Job) -> None:
    params = job.params
    model = job.load(job.inputs.model).to(job.device)
    designed = design_shapes(model.groups(), params.shapes, params.seed)
    crystal = reference_crystal(model.elements, params.atoms)
    table = TimeTable(
        shapes=time_shapes(
            model,
            [model.native_plan(plan)[0] for plan in designed[1:]],
            crystal,
            repeats=params.repeats,
        ),
        provenance={
            "atoms": len(crystal),
            "device": str(model.device),
            "threads": torch.get_num_threads(),
            "seed": params.seed,
            "versions": versions(),
        },
    )
    error = table.save(job.outputs.shapes, model.cost_terms())
    logging.getLogger("time_shapes").info(
        "the time of a shape is predicted from all others to %.1f %% on average", 100 * error
    )


run(main, snakemake)
