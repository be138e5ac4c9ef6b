# Distillation: the pruned (and, if configured, compensated) model is trained on what its parent says of a dataset.


DISTILLED = PATHS.stage(stage="distilled")


rule distill:
    input:
        unpack(lambda wildcards: INPUTS.guides(wildcards.model, wildcards.plan)),
        model=START.model_file,
        card=START.card,
        store=PATHS.data(CONFIG.distillation.dataset),
        teacher=lambda wildcards: INPUTS.teacher(CONFIG.distillation.dataset, wildcards.model),
    output:
        model=DISTILLED.model_file,
        card=DISTILLED.card,
        training=DISTILLED.training,
    log:
        PATHS.log(DISTILLED.model_file),
    benchmark:
        PATHS.benchmark(DISTILLED.model_file)
    conda:
        model_environment
    threads: OF_A_TRAINING
    resources:
        **training(CONFIG.distillation),
        mem_mb=memory(16000),
        runtime=minutes(1440),
    params:
        **ON_DEVICE,
        settings=parameters(CONFIG.distillation),
        apart=untracked(apart(CONFIG.distillation)),
        seed=CONFIG.seed,
    script:
        "../scripts/distill.py"
