"""Score every irreps block of a parent by the criteria of the sweep."""

import json

from _common import Job, run
from _pruning import calibration
from irrepress.cards import read_card, versions
from irrepress.pruning.scoring import compute_scores


def main(job: Job) -> None:
    settings = job.config.scoring
    model = job.load(job.inputs.model)
    store, chosen = calibration(job, model)
    scores = compute_scores(
        job.family,
        model,
        store.iterate(chosen),
        total=len(chosen),
        batch_size=settings.batch_size,
        weights=settings.weights,
        criteria=job.config.sweep.scored(),
        probes=settings.probes,
        seed=job.config.seed,
        device=job.config.device,
    )
    scores.provenance.update(
        parent_sha256=read_card(job.inputs.card)["parent_sha256"],
        dataset=settings.dataset,
        labels=store.info.labels,
        seed=job.config.seed,
        versions=json.dumps(versions()),
    )
    scores.save(job.outputs.scores)


run(main, snakemake)
