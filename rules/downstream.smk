# Downstream tasks: fine-tuning on a small dataset, beside the baselines that are configured.


RESTRICTED = PARENT.of_task("{dataset}", "restricted")


rule fine_tune:
    input:
        model=STAGE.model_file,
        card=STAGE.card,
        plan=lambda wildcards: INPUTS.plan(wildcards.model, wildcards.plan),
        parent=PARENT.model_file,
        store=PATHS.data(),
    output:
        model=TASK.model_file,
        card=TASK.card,
        metrics=TASK.metrics,
        training=TASK.training,
    log:
        PATHS.log(TASK.model_file),
    benchmark:
        PATHS.benchmark(TASK.model_file)
    wildcard_constraints:
        start="finetuned|scratch",
    conda:
        model_environment
    threads: RUN.threads(len(TARGETS.downstream()))
    resources:
        **training(CONFIG.downstream.training),
        mem_mb=memory(16000),
        runtime=minutes(480),
    # Settings of the evaluation are untracked: other repeats of a timing train nothing anew.
    params:
        **ON_DEVICE,
        settings=parameters(CONFIG.downstream.training),
        apart=untracked(apart(CONFIG.downstream.training)),
        restrict_elements=CONFIG.downstream.restrict_elements,
        seed=CONFIG.seed,
        evaluation=untracked(CONFIG.evaluation),
        runtime=untracked(CONFIG.sweep.runtime),
    script:
        "../scripts/fine_tune.py"


# The baseline that costs nothing: the parent without the elements that the dataset lacks.
rule restrict:
    input:
        model=PARENT.model_file,
        card=PARENT.card,
        store=PATHS.data(),
    output:
        model=RESTRICTED.model_file,
        card=RESTRICTED.card,
        metrics=RESTRICTED.metrics,
    log:
        PATHS.log(RESTRICTED.model_file),
    benchmark:
        PATHS.benchmark(RESTRICTED.model_file)
    conda:
        model_environment
    resources:
        **gpus(),
        mem_mb=memory(8000),
        runtime=minutes(120),
    params:
        **ON_DEVICE,
        **SEED,
        batch_size=CONFIG.downstream.training.batch_size,
    script:
        "../scripts/restrict.py"
