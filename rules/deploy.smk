# Models in the form of the runtimes that they are used in, checked and timed there.


rule deploy:
    input:
        **({} if CONFIG.deploy.dataset is None else {"store": PATHS.data(CONFIG.deploy.dataset)}),
        model=STAGE.model_file,
        card=STAGE.card,
        parent=PARENT.model_file,
    output:
        deployment=STAGE.deployment(),
    log:
        PATHS.log(STAGE.deployment()),
    benchmark:
        PATHS.benchmark(STAGE.deployment())
    wildcard_constraints:
        target=one_of(CONFIG.deploy.targets),
    conda:
        model_environment
    resources:
        **gpus(),
        mem_mb=memory(8000),
        runtime=minutes(30 + round(CONFIG.deploy.minutes)),
    params:
        **ON_DEVICE,
        settings=parameters(CONFIG.deploy),
        apart=untracked(apart(CONFIG.deploy)),
    script:
        "../scripts/deploy.py"
