# Models to hand on: each in one file, with its card, metrics, licence and methods text.


rule archive:
    input:
        model=f"{MODEL}/model.pt",
        card=f"{MODEL}/card.json",
        metrics=METRICS,
    output:
        archive=ARCHIVE,
    log:
        f"{LOGS}/archives/{{model}}_{{plan}}_{{stage}}.log",
    benchmark:
        f"{LOGS}/archives/{{model}}_{{plan}}_{{stage}}.benchmark.tsv"
    conda:
        "../envs/workflow.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(15),
    params:
        licence=lambda wildcards: model_licence(CONFIG.models[wildcards.model]),
    script:
        "../scripts/archive.py"


# What was fine-tuned on the only downstream dataset: the model that such a study is for.
if FINAL_DATASETS:

    use rule archive as archive_final with:
        input:
            model=f"{DOWNSTREAM}/model.pt",
            card=f"{DOWNSTREAM}/card.json",
            metrics=f"{DOWNSTREAM}/metrics.json",
        output:
            archive=ARCHIVE_OF_FINAL,
        log:
            f"{LOGS}/archives/{{model}}_{{plan}}_{{stage}}_{{start}}_{{dataset}}.log",
        benchmark:
            f"{LOGS}/archives/{{model}}_{{plan}}_{{stage}}_{{start}}_{{dataset}}.benchmark.tsv"
