# Datasets (and published checkpoints): downloaded, read from the user's files, or made here and labelled by a model.


# The file itself is no output: Snakemake would remove it, and with it hours of transfer, before
# it runs the rule again. Its record says that it is there and was verified.
rule download:
    output:
        record=DOWNLOAD,
    log:
        "logs/downloads/{collection}/{file}.log",
    benchmark:
        "logs/downloads/{collection}/{file}.benchmark.tsv"
    wildcard_constraints:
        collection=one_of({collection for collection, _ in DOWNLOADS}),
        file=one_of({file for _, file in DOWNLOADS}),
    localrule: True
    conda:
        "../envs/workflow.yaml"
    script:
        "../scripts/download.py"


rule read_dataset:
    input:
        files=lambda wildcards: files_of(CONFIG.datasets[wildcards.dataset]),
    output:
        store=DATA,
    log:
        f"{LOGS}/data/{{dataset}}.log",
    benchmark:
        f"{LOGS}/data/{{dataset}}.benchmark.tsv"
    wildcard_constraints:
        dataset=one_of(set(CONFIG.datasets) - {*GENERATED, *PERTURBED}),
    conda:
        "../envs/workflow.yaml"
    threads: 4
    resources:
        mem_mb=memory(4000),
        runtime=minutes(240),
    params:
        settings=lambda wildcards: settings(CONFIG.datasets[wildcards.dataset]),
        content=lambda wildcards: content_of_files(CONFIG.datasets[wildcards.dataset]),
    script:
        "../scripts/read_dataset.py"


rule generate_dataset:
    input:
        checkpoint=lambda wildcards: checkpoint_file(CONFIG.datasets[wildcards.dataset].labels),
    output:
        store=DATA,
    log:
        f"{LOGS}/data/{{dataset}}.log",
    benchmark:
        f"{LOGS}/data/{{dataset}}.benchmark.tsv"
    wildcard_constraints:
        dataset=one_of(GENERATED),
    conda:
        labels_environment
    resources:
        **gpus(),
        mem_mb=memory(8000),
        runtime=minutes(120),
    params:
        settings=lambda wildcards: settings(CONFIG.datasets[wildcards.dataset]),
        content=lambda wildcards: content_of_checkpoint(CONFIG.datasets[wildcards.dataset].labels),
    script:
        "../scripts/generate_dataset.py"


rule perturb_dataset:
    input:
        source=lambda wildcards: data_of(CONFIG.datasets[wildcards.dataset].of),
        checkpoint=lambda wildcards: checkpoint_file(CONFIG.datasets[wildcards.dataset].labels),
    output:
        store=DATA,
    log:
        f"{LOGS}/data/{{dataset}}.log",
    benchmark:
        f"{LOGS}/data/{{dataset}}.benchmark.tsv"
    wildcard_constraints:
        dataset=one_of(PERTURBED),
    conda:
        labels_environment
    resources:
        **gpus(),
        mem_mb=memory(8000),
        runtime=minutes(240),
    params:
        settings=lambda wildcards: settings(CONFIG.datasets[wildcards.dataset]),
        content=lambda wildcards: content_of_checkpoint(CONFIG.datasets[wildcards.dataset].labels),
    script:
        "../scripts/perturb_dataset.py"


rule summarize_dataset:
    input:
        store=DATA,
    output:
        summary=SUMMARY,
    log:
        f"{LOGS}/data/{{dataset}}.summary.log",
    benchmark:
        f"{LOGS}/data/{{dataset}}.summary.benchmark.tsv"
    conda:
        "../envs/workflow.yaml"
    threads: 2
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    script:
        "../scripts/summarize_dataset.py"
