# Proof of the models that a study ends at, beside their parents: what users do with them.


# The parent is the slow one: its values are measured once, and serve all its models.
rule measure_parent:
    input:
        model=PARENT.model_file,
        card=PARENT.card,
        store=PATHS.data(CONFIG.validation.dataset),
    output:
        reference=PARENT.validation_reference,
    log:
        PATHS.log(PARENT.validation_reference),
    benchmark:
        PATHS.benchmark(PARENT.validation_reference)
    conda:
        model_environment
    resources:
        **gpus(),
        mem_mb=memory(8000),
        runtime=minutes(60 + round(CONFIG.validation.parent_minutes)),
    params:
        **ON_DEVICE,
        seed=CONFIG.seed,
        settings=parameters(CONFIG.validation),
        apart=untracked(apart(CONFIG.validation)),
    script:
        "../scripts/measure_parent.py"


rule validate:
    input:
        model=STAGE.model_file,
        card=STAGE.card,
        reference=lambda wildcards: INPUTS.validation_reference(**wildcards),
    output:
        validation=STAGE.validation,
    log:
        PATHS.log(STAGE.validation),
    benchmark:
        PATHS.benchmark(STAGE.validation)
    conda:
        model_environment
    resources:
        **gpus(),
        mem_mb=memory(8000),
        runtime=minutes(60 + round(CONFIG.validation.minutes)),
    params:
        **ON_DEVICE,
        settings=CONFIG.validation.model_dump(mode="json"),
    script:
        "../scripts/validate.py"


# What was fine-tuned is compared with the parent that was fine-tuned alike, if there is one.
if CONFIG.downstream is not None:

    TUNED_PARENT = PARENT.of_task("{dataset}", "finetuned")

    use rule measure_parent as measure_fine_tuned_parent with:
        input:
            model=TUNED_PARENT.model_file,
            card=TUNED_PARENT.card,
            store=PATHS.data(CONFIG.validation.dataset),
        output:
            reference=TUNED_PARENT.validation_reference,
        log:
            PATHS.log(TUNED_PARENT.validation_reference),
        benchmark:
            PATHS.benchmark(TUNED_PARENT.validation_reference)

    use rule validate as validate_fine_tuned with:
        input:
            model=TASK.model_file,
            card=TASK.card,
            reference=lambda wildcards: INPUTS.validation_reference(**wildcards),
        output:
            validation=TASK.validation,
        log:
            PATHS.log(TASK.validation),
        benchmark:
            PATHS.benchmark(TASK.validation)
