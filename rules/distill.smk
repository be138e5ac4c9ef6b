# Distillation: the pruned (and, if configured, compensated) model is trained on what its parent says of a dataset.


rule distill:
    input:
        unpack(guides),
        model=f"{RESULTS}/{{model}}/{{plan}}/{START}/model.pt",
        card=f"{RESULTS}/{{model}}/{{plan}}/{START}/card.json",
        store=data_of(CONFIG.distillation.dataset),
        teacher=taught_by(CONFIG.distillation.dataset),
    output:
        model=f"{RESULTS}/{{model}}/{{plan}}/distilled/model.pt",
        card=f"{RESULTS}/{{model}}/{{plan}}/distilled/card.json",
        training=f"{RESULTS}/{{model}}/{{plan}}/distilled/training.csv",
    log:
        f"{LOGS}/{{model}}/{{plan}}/distilled/model.log",
    benchmark:
        f"{LOGS}/{{model}}/{{plan}}/distilled/model.benchmark.tsv"
    conda:
        model_environment
    resources:
        **training(CONFIG.distillation),
        mem_mb=memory(16000),
        runtime=minutes(1440),
    params:
        settings=settings(CONFIG.distillation),
        seed=CONFIG.seed,
    script:
        "../scripts/distill.py"
