# Compensation: the kept weights of a pruned model are fitted to the parent's features.


COMPENSATED = PATHS.stage(stage="compensated")


rule compensate:
    input:
        parent=PARENT.model_file,
        model=PRUNED.model_file,
        card=PRUNED.card,
        plan=PATHS.plan(),
        store=PATHS.data(CONFIG.compensation.dataset),
    output:
        model=COMPENSATED.model_file,
        card=COMPENSATED.card,
        fits=COMPENSATED.fits,
    log:
        PATHS.log(COMPENSATED.model_file),
    benchmark:
        PATHS.benchmark(COMPENSATED.model_file)
    conda:
        model_environment
    resources:
        **gpus(),
        mem_mb=memory(8000),
        runtime=minutes(240),
    params:
        **ON_DEVICE,
        settings=parameters(CONFIG.compensation),
        seed=CONFIG.seed,
    script:
        "../scripts/compensate.py"
