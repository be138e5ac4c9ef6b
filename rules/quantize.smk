# Quantization: path and radial weights are rounded and packed.


QUANTIZED = PATHS.stage(stage="{source}-int{bits}")


rule quantize:
    input:
        model=SOURCE.model_file,
        card=SOURCE.card,
    output:
        model=QUANTIZED.model_file,
        card=QUANTIZED.card,
        packed=QUANTIZED.packed,
    log:
        PATHS.log(QUANTIZED.model_file),
    benchmark:
        PATHS.benchmark(QUANTIZED.model_file)
    wildcard_constraints:
        bits="4|8",
    conda:
        model_environment
    resources:
        mem_mb=memory(4000),
        runtime=minutes(15),
    params:
        **MODEL,
        **SEED,
    script:
        "../scripts/quantize.py"
