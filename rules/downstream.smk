# Downstream tasks: fine-tuning on a small dataset, beside the baselines that are configured.


rule fine_tune:
    input:
        model=f"{MODEL}/model.pt",
        card=f"{MODEL}/card.json",
        plan=lambda wildcards: [PLAN.format(**wildcards)] if wildcards.plan in PLANS else [],
        parent=f"{PARENT}/model.pt",
        store=DATA,
    output:
        model=f"{DOWNSTREAM}/model.pt",
        card=f"{DOWNSTREAM}/card.json",
        metrics=f"{DOWNSTREAM}/metrics.json",
        training=f"{DOWNSTREAM}/training.csv",
    log:
        f"{LOGS}/{{model}}/{{plan}}/{{stage}}/downstream/{{dataset}}/{{start}}/model.log",
    benchmark:
        f"{LOGS}/{{model}}/{{plan}}/{{stage}}/downstream/{{dataset}}/{{start}}/model.benchmark.tsv"
    wildcard_constraints:
        start="finetuned|scratch",
    conda:
        model_environment
    resources:
        **training(CONFIG.downstream.training),
        mem_mb=memory(16000),
        runtime=minutes(480),
    # Settings of the evaluation are no parameters: other repeats of a timing train nothing anew.
    params:
        settings=settings(CONFIG.downstream.training),
        restrict_elements=CONFIG.downstream.restrict_elements,
        seed=CONFIG.seed,
    script:
        "../scripts/fine_tune.py"


# The baseline that costs nothing: the parent without the elements that the dataset lacks.
rule restrict:
    input:
        model=f"{PARENT}/model.pt",
        card=f"{PARENT}/card.json",
        store=DATA,
    output:
        model=f"{PARENT}/downstream/{{dataset}}/restricted/model.pt",
        card=f"{PARENT}/downstream/{{dataset}}/restricted/card.json",
        metrics=f"{PARENT}/downstream/{{dataset}}/restricted/metrics.json",
    log:
        f"{LOGS}/{{model}}/parent/original/downstream/{{dataset}}/restricted/model.log",
    benchmark:
        f"{LOGS}/{{model}}/parent/original/downstream/{{dataset}}/restricted/model.benchmark.tsv"
    conda:
        model_environment
    resources:
        **gpus(),
        mem_mb=memory(8000),
        runtime=minutes(120),
    params:
        batch_size=CONFIG.downstream.training.batch_size,
    script:
        "../scripts/restrict.py"
