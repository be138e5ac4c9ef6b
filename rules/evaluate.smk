# Evaluation: errors against labels and parent, cost, and symmetry of every model.


rule evaluate:
    input:
        model=STAGE.model_file,
        card=STAGE.card,
        packed=lambda wildcards: INPUTS.packed(**wildcards),
        plan=lambda wildcards: INPUTS.plan(wildcards.model, wildcards.plan),
        parent=PARENT.model_file,
        store=PATHS.data(CONFIG.evaluation.dataset),
        teacher=lambda wildcards: INPUTS.teacher(CONFIG.evaluation.dataset, wildcards.model),
    output:
        metrics=STAGE.metrics,
    log:
        PATHS.log(STAGE.metrics),
    benchmark:
        PATHS.benchmark(STAGE.metrics)
    conda:
        model_environment
    resources:
        **gpus(),
        mem_mb=memory(8000),
        runtime=minutes(60),
    params:
        **ON_DEVICE,
        **SEED,
        **runtime_parameter(CONFIG),
        settings=parameters(CONFIG.evaluation),
    script:
        "../scripts/evaluate.py"
