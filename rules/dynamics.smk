# Molecular dynamics with the models that a study ends at, and with their parents.


rule run_dynamics:
    input:
        model=STAGE.model_file,
        card=STAGE.card,
        store=PATHS.data(),
    output:
        dynamics=STAGE.dynamics(),
    log:
        PATHS.log(STAGE.dynamics()),
    benchmark:
        PATHS.benchmark(STAGE.dynamics())
    conda:
        model_environment
    resources:
        **gpus(),
        mem_mb=memory(8000),
        runtime=minutes(240),
    params:
        **ON_DEVICE,
        seed=CONFIG.seed,
        settings=parameters(CONFIG.evaluation.dynamics),
    script:
        "../scripts/dynamics.py"


# With what was fine-tuned on the dataset that the structure is from.
if CONFIG.downstream is not None:

    use rule run_dynamics as run_dynamics_of_task with:
        input:
            model=TASK.model_file,
            card=TASK.card,
            store=PATHS.data(),
        output:
            dynamics=TASK.dynamics(),
        log:
            PATHS.log(TASK.dynamics()),
        benchmark:
            PATHS.benchmark(TASK.dynamics())
