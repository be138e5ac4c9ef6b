# Export: a model in another type of numbers, whose errors and time are measured like a stage's.


EXPORTED = PATHS.stage(stage="{source}-{dtype}")


rule export:
    input:
        model=SOURCE.model_file,
        card=SOURCE.card,
    output:
        model=EXPORTED.model_file,
        card=EXPORTED.card,
    log:
        PATHS.log(EXPORTED.model_file),
    benchmark:
        PATHS.benchmark(EXPORTED.model_file)
    wildcard_constraints:
        dtype="float32|float64",
    conda:
        model_environment
    resources:
        mem_mb=memory(4000),
        runtime=minutes(15),
    params:
        **MODEL,
        **SEED,
    script:
        "../scripts/export.py"
