# The uncompressed parents in their family's native format, and datasets labelled by them.


rule parent:
    input:
        checkpoint=lambda wildcards: checkpoint_file(CONFIG.models[wildcards.model]),
    output:
        model=f"{PARENT}/model.pt",
        card=f"{PARENT}/card.json",
    log:
        f"{LOGS}/{{model}}/parent/original/model.log",
    benchmark:
        f"{LOGS}/{{model}}/parent/original/model.benchmark.tsv"
    conda:
        model_environment
    resources:
        mem_mb=memory(4000),
        runtime=minutes(15),
    params:
        settings=lambda wildcards: settings(CONFIG.models[wildcards.model]),
    script:
        "../scripts/export_parent.py"


rule teach:
    input:
        model=f"{PARENT}/model.pt",
        store=DATA,
    output:
        store=TEACHER,
    log:
        f"{LOGS}/{{model}}/parent/original/teacher/{{dataset}}.log",
    benchmark:
        f"{LOGS}/{{model}}/parent/original/teacher/{{dataset}}.benchmark.tsv"
    conda:
        model_environment
    resources:
        **gpus(),
        mem_mb=memory(8000),
        runtime=minutes(240),
    params:
        parts=lambda wildcards: taught_parts(wildcards.dataset),
    script:
        "../scripts/teach.py"
