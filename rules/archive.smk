# Models to hand on: each in one file, with its card, metrics, licence and methods text.


rule archive:
    input:
        model=STAGE.model_file,
        card=STAGE.card,
        metrics=STAGE.metrics,
    output:
        archive=PATHS.archive(STAGE),
    log:
        PATHS.log(PATHS.archive(STAGE)),
    benchmark:
        PATHS.benchmark(PATHS.archive(STAGE))
    conda:
        "../envs/workflow.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(15),
    params:
        licence=lambda wildcards: model_licence(model_of(wildcards)),
    script:
        "../scripts/archive.py"


# What was fine-tuned on the only downstream dataset: the model that such a study is for.
if CONFIG.final_dataset:

    use rule archive as archive_final with:
        input:
            model=TASK.model_file,
            card=TASK.card,
            metrics=TASK.metrics,
        output:
            archive=PATHS.archive(TASK),
        log:
            PATHS.log(PATHS.archive(TASK)),
        benchmark:
            PATHS.benchmark(PATHS.archive(TASK))
