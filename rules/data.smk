# Datasets: read from the user's files, or generated and labelled by a model.


rule read_dataset:
    input:
        paths=lambda wildcards: CONFIG.datasets[wildcards.dataset].paths,
        test_paths=lambda wildcards: CONFIG.datasets[wildcards.dataset].test_paths,
    output:
        store=DATA,
    log:
        f"{LOGS}/data/{{dataset}}.log",
    benchmark:
        f"{LOGS}/data/{{dataset}}.benchmark.tsv"
    wildcard_constraints:
        dataset=one_of([name for name in CONFIG.datasets if name not in GENERATED]),
    conda:
        "../envs/workflow.yaml"
    resources:
        mem_mb=larger(4000),
        runtime=longer(60),
    params:
        settings=lambda wildcards: settings(CONFIG.datasets[wildcards.dataset]),
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
        mem_mb=larger(8000),
        runtime=longer(120),
        gpu=GPUS,
    params:
        settings=lambda wildcards: settings(CONFIG.datasets[wildcards.dataset]),
    script:
        "../scripts/generate_dataset.py"


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
    resources:
        mem_mb=larger(2000),
        runtime=longer(60),
    script:
        "../scripts/summarize_dataset.py"
