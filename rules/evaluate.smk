# Evaluation: errors against labels and parent, cost, and symmetry of every model.


rule evaluate:
    input:
        model=f"{MODEL}/model.pt",
        card=f"{MODEL}/card.json",
        packed=lambda wildcards: (
            [f"{MODEL}/packed.pt".format(**wildcards)]
            if wildcards.stage in QUANTIZED_STAGES
            else []
        ),
        plan=lambda wildcards: [PLAN.format(**wildcards)] if wildcards.plan in PLANS else [],
        parent=f"{PARENT}/model.pt",
        store=data_of(CONFIG.evaluation.dataset),
        teacher=taught_by(CONFIG.evaluation.dataset),
    output:
        metrics=METRICS,
    log:
        f"{LOGS}/{{model}}/{{plan}}/{{stage}}/metrics.log",
    benchmark:
        f"{LOGS}/{{model}}/{{plan}}/{{stage}}/metrics.benchmark.tsv"
    conda:
        model_environment
    resources:
        **gpus(),
        mem_mb=memory(8000),
        runtime=minutes(60),
    params:
        settings=settings(CONFIG.evaluation),
    script:
        "../scripts/evaluate.py"
