# Downstream tasks: fine-tuning on a small dataset, beside the baselines that are configured.


rule fine_tune:
    input:
        model=f"{MODEL}/model.pt",
        card=f"{MODEL}/card.json",
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
    conda:
        model_environment
    resources:
        **training(CONFIG.downstream.training),
        mem_mb=memory(16000),
        runtime=minutes(480),
    params:
        settings=settings(CONFIG.downstream.training),
        seed=CONFIG.seed,
    script:
        "../scripts/fine_tune.py"
