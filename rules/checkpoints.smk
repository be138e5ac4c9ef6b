# The uncompressed parents in their family's native format, loaded or trained from scratch, and
# datasets labelled by them.


rule parent:
    input:
        unpack(elements_source),
        checkpoint=lambda wildcards: checkpoint_file(CONFIG.models[wildcards.model]),
    output:
        model=f"{PARENT}/model.pt",
        card=f"{PARENT}/card.json",
    log:
        f"{LOGS}/{{model}}/parent/original/model.log",
    benchmark:
        f"{LOGS}/{{model}}/parent/original/model.benchmark.tsv"
    wildcard_constraints:
        model=one_of(name for name in CONFIG.models if name not in UNTRAINED),
    conda:
        model_environment
    resources:
        mem_mb=memory(4000),
        runtime=minutes(15),
    params:
        settings=lambda wildcards: settings(CONFIG.models[wildcards.model]),
        content=lambda wildcards: content_of_checkpoint(CONFIG.models[wildcards.model]),
    script:
        "../scripts/export_parent.py"


rule untrained:
    input:
        store=lambda wildcards: data_of(CONFIG.models[wildcards.model].training.dataset),
    output:
        model=f"{START_OF_PARENT}/model.pt",
        card=f"{START_OF_PARENT}/card.json",
    log:
        f"{LOGS}/{{model}}/parent/untrained/model.log",
    benchmark:
        f"{LOGS}/{{model}}/parent/untrained/model.benchmark.tsv"
    wildcard_constraints:
        model=one_of(UNTRAINED),
    conda:
        model_environment
    resources:
        mem_mb=memory(4000),
        runtime=minutes(15),
    params:
        settings=lambda wildcards: CONFIG.models[wildcards.model].model_dump(
            mode="json", exclude={"training", "licence"}
        ),
        seed=CONFIG.seed,
    script:
        "../scripts/untrained.py"


# One rule a model: what a job asks for depends on how many GPUs its training runs on.
for UNTRAINED_MODEL in UNTRAINED:

    rule:
        name:
            f"train_from_scratch_{UNTRAINED_MODEL}"
        input:
            model=f"{START_OF_PARENT}/model.pt",
            card=f"{START_OF_PARENT}/card.json",
            store=data_of(CONFIG.models[UNTRAINED_MODEL].training.dataset),
        output:
            model=f"{PARENT}/model.pt",
            card=f"{PARENT}/card.json",
            training=f"{PARENT}/training.csv",
        log:
            f"{LOGS}/{{model}}/parent/original/model.log",
        benchmark:
            f"{LOGS}/{{model}}/parent/original/model.benchmark.tsv"
        wildcard_constraints:
            model=one_of([UNTRAINED_MODEL]),
        conda:
            model_environment
        resources:
            **training(CONFIG.models[UNTRAINED_MODEL].training),
            mem_mb=memory(16000),
            runtime=minutes(1440),
        params:
            settings=settings(CONFIG.models[UNTRAINED_MODEL].training),
            seed=CONFIG.seed,
        script:
            "../scripts/train_from_scratch.py"


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
