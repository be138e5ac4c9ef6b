# Recovery: the pruned (and, if configured, compensated) model is trained on the labels of a dataset.


RECOVERED = PATHS.stage(stage="recovered")


rule recover:
    input:
        model=START.model_file,
        card=START.card,
        store=PATHS.data(CONFIG.recovery.dataset),
    output:
        model=RECOVERED.model_file,
        card=RECOVERED.card,
        training=RECOVERED.training,
    log:
        PATHS.log(RECOVERED.model_file),
    benchmark:
        PATHS.benchmark(RECOVERED.model_file)
    conda:
        model_environment
    threads: OF_A_TRAINING
    resources:
        **training(CONFIG.recovery),
        mem_mb=memory(16000),
        runtime=minutes(1440),
    params:
        **ON_DEVICE,
        settings=parameters(CONFIG.recovery),
        apart=untracked(apart(CONFIG.recovery)),
        seed=CONFIG.seed,
    script:
        "../scripts/recover.py"
