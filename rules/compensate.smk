# Compensation: the kept weights of a pruned model are fitted to the parent's features.


rule compensate:
    input:
        parent=f"{PARENT}/model.pt",
        model=f"{RESULTS}/{{model}}/{{plan}}/pruned/model.pt",
        card=f"{RESULTS}/{{model}}/{{plan}}/pruned/card.json",
        plan=PLAN,
        store=data_of(CONFIG.compensation.dataset),
    output:
        model=f"{RESULTS}/{{model}}/{{plan}}/compensated/model.pt",
        card=f"{RESULTS}/{{model}}/{{plan}}/compensated/card.json",
        fits=f"{RESULTS}/{{model}}/{{plan}}/compensated/fits.csv",
    log:
        f"{LOGS}/{{model}}/{{plan}}/compensated/model.log",
    benchmark:
        f"{LOGS}/{{model}}/{{plan}}/compensated/model.benchmark.tsv"
    conda:
        model_environment
    resources:
        **gpus(),
        mem_mb=memory(8000),
        runtime=minutes(240),
    params:
        settings=settings(CONFIG.compensation),
        seed=CONFIG.seed,
    script:
        "../scripts/compensate.py"
