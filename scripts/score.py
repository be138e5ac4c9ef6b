"""Score every irreps block of a parent by the criteria of the sweep."""

import json

from _common import Job, run
from _pruning import calibration, score
from irrepress.study.cards import Card, versions


def main(job: Job) -> None:
    model = job.load(job.inputs.model)
    store, chosen = calibration(job, model)
    scores = score(job, model, store, chosen, job.config.sweep.scored())
    scores.provenance.update(
        parent_sha256=Card.load(job.inputs.card).parent_sha256,
        dataset=job.config.scoring.dataset,
        labels=store.info.labels,
        seed=job.config.seed,
        versions=json.dumps(versions()),
    )
    scores.save(job.outputs.scores)


run(main, snakemake)
