"""Score every irreps block of a parent by the criteria of the sweep."""

import json

from _common import Job, run
from _pruning import calibration
from irrepress.pruning.config import Scoring
from irrepress.study.cards import Card, versions


def main(job: Job) -> None:
    model = job.load(job.inputs.model).to(job.device)
    settings = job.section(Scoring)
    chosen = calibration(job, model, settings)
    scores = chosen.score(model, job.params.criteria)
    scores.provenance.update(
        parent_sha256=Card.load(job.inputs.card).parent_sha256,
        dataset=settings.dataset,
        labels=chosen.store.info.labels,
        seed=job.params.seed,
        versions=json.dumps(versions()),
    )
    scores.save(job.outputs.scores)


run(main, snakemake)
