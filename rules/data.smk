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
        dataset=one_of(set(datasets_from(*READ)) - set(LABELLED)),
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


# Of datasets whose labels are to be a model's, structures alone are read.
use rule read_dataset as read_structures with:
    output:
        store=PATHS.structures(),
    log:
        PATHS.log(PATHS.structures()),
    benchmark:
        PATHS.benchmark(PATHS.structures())
    wildcard_constraints:
        dataset=one_of(LABELLED),
    params:
        settings=lambda wildcards: parameters(structures_of(dataset_of(wildcards))),
        content=lambda wildcards: INPUTS.content_of_files(dataset_of(wildcards)),
        apart=untracked(lambda wildcards: apart(structures_of(dataset_of(wildcards)))),
        downloads=untracked(CONFIG.downloads),


rule label_dataset:
    input:
        structures=PATHS.structures(),
        checkpoint=lambda wildcards: INPUTS.checkpoint(dataset_of(wildcards).labels),
    output:
        store=PATHS.data(),
    log:
        PATHS.log(PATHS.data()),
    benchmark:
        PATHS.benchmark(PATHS.data())
    wildcard_constraints:
        dataset=one_of(LABELLED),
    conda:
        labels_environment
    resources:
        **gpus(),
        mem_mb=memory(8000),
        runtime=minutes(240),
    params:
        **LABELLING,
        labels=lambda wildcards: parameters(dataset_of(wildcards))["labels"],
        seed=lambda wildcards: dataset_of(wildcards).seed,
        content=lambda wildcards: INPUTS.content_of_checkpoint(dataset_of(wildcards).labels),
    script:
        "../scripts/label_dataset.py"


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
        dataset=one_of(datasets_from("generated")),
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
        dataset=one_of(datasets_from("perturbed")),
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


rule join_datasets:
    input:
        stores=lambda wildcards: [PATHS.data(name) for name in dataset_of(wildcards).of],
    output:
        store=PATHS.data(),
    log:
        PATHS.log(PATHS.data()),
    benchmark:
        PATHS.benchmark(PATHS.data())
    wildcard_constraints:
        dataset=one_of(datasets_from("joined")),
    conda:
        "../envs/workflow.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(60),
    params:
        settings=lambda wildcards: parameters(dataset_of(wildcards)),
    script:
        "../scripts/join_datasets.py"


rule draw_dataset:
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
        dataset=one_of(
            name for name, dataset in CONFIG.datasets.items() if isinstance(dataset, Drawn)
        ),
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
        "../scripts/draw_dataset.py"


rule sample_dataset:
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
        dataset=one_of(datasets_from("sampled")),
    # Most of a study waits for it; measure_parent does not.
    priority: 1
    conda:
        labels_environment
    # On CPUs every thread makes whole runs.
    threads: 8
    resources:
        **gpus(),
        mem_mb=memory(16000),
        runtime=minutes(480),
    params:
        **LABELLING,
        settings=lambda wildcards: parameters(dataset_of(wildcards)),
        content=lambda wildcards: INPUTS.content_of_checkpoint(dataset_of(wildcards).labels),
    script:
        "../scripts/sample_dataset.py"


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
