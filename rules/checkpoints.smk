# The uncompressed parents in their family's native format, loaded or trained from scratch, and
# datasets labelled by them.

UNTRAINED_PARENT = PATHS.untrained()


rule parent:
    input:
        unpack(lambda wildcards: INPUTS.elements(wildcards.model)),
        checkpoint=lambda wildcards: INPUTS.checkpoint(model_of(wildcards)),
    output:
        model=PARENT.model_file,
        card=PARENT.card,
    log:
        PATHS.log(PARENT.model_file),
    benchmark:
        PATHS.benchmark(PARENT.model_file)
    wildcard_constraints:
        model=one_of(name for name in CONFIG.models if name not in UNTRAINED),
    conda:
        model_environment
    resources:
        mem_mb=memory(4000),
        runtime=minutes(15),
    params:
        **MODEL,
        **SEED,
        settings=lambda wildcards: parameters(model_of(wildcards)),
        content=lambda wildcards: INPUTS.content_of_checkpoint(model_of(wildcards)),
        downloads=untracked(CONFIG.downloads),
    script:
        "../scripts/export_parent.py"


rule untrained:
    input:
        store=lambda wildcards: PATHS.data(model_of(wildcards).training.dataset),
    output:
        model=UNTRAINED_PARENT.model_file,
        card=UNTRAINED_PARENT.card,
    log:
        PATHS.log(UNTRAINED_PARENT.model_file),
    benchmark:
        PATHS.benchmark(UNTRAINED_PARENT.model_file)
    wildcard_constraints:
        model=one_of(UNTRAINED),
    conda:
        model_environment
    resources:
        mem_mb=memory(4000),
        runtime=minutes(15),
    params:
        **MODEL,
        settings=lambda wildcards: model_of(wildcards).model_dump(
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
            model=UNTRAINED_PARENT.model_file,
            card=UNTRAINED_PARENT.card,
            store=PATHS.data(CONFIG.models[UNTRAINED_MODEL].training.dataset),
        output:
            model=PARENT.model_file,
            card=PARENT.card,
            training=PARENT.training,
        log:
            PATHS.log(PARENT.model_file),
        benchmark:
            PATHS.benchmark(PARENT.model_file)
        wildcard_constraints:
            model=one_of([UNTRAINED_MODEL]),
        conda:
            model_environment
        resources:
            **training(CONFIG.models[UNTRAINED_MODEL].training),
            mem_mb=memory(16000),
            runtime=minutes(1440),
        params:
            **ON_DEVICE,
            settings=parameters(CONFIG.models[UNTRAINED_MODEL].training),
            apart=untracked(apart(CONFIG.models[UNTRAINED_MODEL].training)),
            seed=CONFIG.seed,
        script:
            "../scripts/train_from_scratch.py"


rule teach:
    input:
        model=PARENT.model_file,
        card=PARENT.card,
        store=PATHS.data(),
    output:
        store=PATHS.teacher(),
    log:
        PATHS.log(PATHS.teacher()),
    benchmark:
        PATHS.benchmark(PATHS.teacher())
    conda:
        model_environment
    resources:
        **gpus(),
        mem_mb=memory(8000),
        runtime=minutes(240),
    params:
        **ON_DEVICE,
        **SEED,
        **KEPT_LABELS,
        parts=lambda wildcards: labelled_parts(CONFIG, wildcards.dataset),
    script:
        "../scripts/teach.py"
