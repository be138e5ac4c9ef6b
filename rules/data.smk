# Datasets (and published checkpoints): downloaded, read from the user's files, or made here and labelled by a model.


# The file itself is no output: Snakemake would remove it, and with it hours of transfer, before
# it runs the rule again. Its record says that it is there and was verified.
rule download:
    output:
        record=DOWNLOADS.record(),
    log:
        DOWNLOADS.log(),
    benchmark:
        DOWNLOADS.benchmark()
    wildcard_constraints:
        collection=one_of({collection for collection, _ in downloads(CONFIG)}),
        file=one_of({file for _, file in downloads(CONFIG)}),
    localrule: True
    conda:
        "../envs/workflow.yaml"
    params:
        downloads=untracked(CONFIG.downloads),
    script:
        "../scripts/download.py"


rule read_dataset:
    input:
        files=lambda wildcards: INPUTS.files(dataset_of(wildcards)),
    output:
        store=PATHS.data(),
    log:
        PATHS.log(PATHS.data()),
    benchmark:
        PATHS.benchmark(PATHS.data())
    wildcard_constraints:
        dataset=one_of(set(CONFIG.datasets) - {*GENERATED, *PERTURBED}),
    conda:
        "../envs/workflow.yaml"
    threads: 4
    resources:
        mem_mb=memory(4000),
        runtime=minutes(240),
    params:
        settings=lambda wildcards: parameters(dataset_of(wildcards)),
        content=lambda wildcards: INPUTS.content_of_files(dataset_of(wildcards)),
        apart=untracked(lambda wildcards: apart(dataset_of(wildcards))),
        downloads=untracked(CONFIG.downloads),
    script:
        "../scripts/read_dataset.py"


rule generate_dataset:
    input:
        checkpoint=lambda wildcards: INPUTS.checkpoint(dataset_of(wildcards).labels),
    output:
        store=PATHS.data(),
    log:
        PATHS.log(PATHS.data()),
    benchmark:
        PATHS.benchmark(PATHS.data())
    wildcard_constraints:
        dataset=one_of(GENERATED),
    conda:
        labels_environment
    resources:
        **gpus(),
        mem_mb=memory(8000),
        runtime=minutes(120),
    params:
        **LABELLING,
        settings=lambda wildcards: parameters(dataset_of(wildcards)),
        content=lambda wildcards: INPUTS.content_of_checkpoint(dataset_of(wildcards).labels),
    script:
        "../scripts/generate_dataset.py"


rule perturb_dataset:
    input:
        source=lambda wildcards: PATHS.data(dataset_of(wildcards).of),
        checkpoint=lambda wildcards: INPUTS.checkpoint(dataset_of(wildcards).labels),
    output:
        store=PATHS.data(),
    log:
        PATHS.log(PATHS.data()),
    benchmark:
        PATHS.benchmark(PATHS.data())
    wildcard_constraints:
        dataset=one_of(PERTURBED),
    conda:
        labels_environment
    resources:
        **gpus(),
        mem_mb=memory(8000),
        runtime=minutes(240),
    params:
        **LABELLING,
        settings=lambda wildcards: parameters(dataset_of(wildcards)),
        content=lambda wildcards: INPUTS.content_of_checkpoint(dataset_of(wildcards).labels),
    script:
        "../scripts/perturb_dataset.py"


rule summarize_dataset:
    input:
        store=PATHS.data(),
    output:
        summary=PATHS.summary(),
    log:
        PATHS.log(PATHS.summary()),
    benchmark:
        PATHS.benchmark(PATHS.summary())
    conda:
        "../envs/workflow.yaml"
    threads: 2
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    script:
        "../scripts/summarize_dataset.py"
