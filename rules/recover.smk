# Recovery: the pruned (and, if configured, compensated) model is trained on the labels of a dataset.


rule recover:
    input:
        model=f"{RESULTS}/{{model}}/{{plan}}/{START}/model.pt",
        card=f"{RESULTS}/{{model}}/{{plan}}/{START}/card.json",
        store=data_of(CONFIG.recovery.dataset),
    output:
        model=f"{RESULTS}/{{model}}/{{plan}}/recovered/model.pt",
        card=f"{RESULTS}/{{model}}/{{plan}}/recovered/card.json",
        training=f"{RESULTS}/{{model}}/{{plan}}/recovered/training.csv",
    log:
        f"{LOGS}/{{model}}/{{plan}}/recovered/model.log",
    benchmark:
        f"{LOGS}/{{model}}/{{plan}}/recovered/model.benchmark.tsv"
    conda:
        model_environment
    resources:
        **training(CONFIG.recovery),
        mem_mb=memory(16000),
        runtime=minutes(1440),
    params:
        settings=settings(CONFIG.recovery),
        seed=CONFIG.seed,
    script:
        "../scripts/recover.py"
