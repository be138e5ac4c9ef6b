"""Time shapes of a parent on this machine, so that its time at any widths can be predicted."""

import logging

from _common import Job, run
from irrepress.deploy.runtimes import check_runtime
from irrepress.evaluation.shapes import make_time_table
from irrepress.study.cards import versions


def main(job: Job) -> None:
    params = job.params
    model = job.load(job.inputs.model).to(job.device)
    runtime = getattr(params, "runtime", "native")
    check_runtime(model, runtime, "sweep.runtime")
    table = make_time_table(
        model,
        shapes=params.shapes,
        atoms=params.atoms,
        repeats=params.repeats,
        seed=params.seed,
        versions=versions(),
        runtime=runtime,
    )
    error = table.save(job.outputs.shapes, model.cost_terms())
    logging.getLogger("time_shapes").info(
        "the time of a shape is predicted from all others to %.1f %% on average", 100 * error
    )


run(main, snakemake)
