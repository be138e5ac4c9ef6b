# Quantization: path and radial weights are rounded and packed.


rule quantize:
    input:
        model=f"{RESULTS}/{{model}}/{{plan}}/{{source}}/model.pt",
        card=f"{RESULTS}/{{model}}/{{plan}}/{{source}}/card.json",
    output:
        model=f"{RESULTS}/{{model}}/{{plan}}/{{source}}-int{{bits}}/model.pt",
        card=f"{RESULTS}/{{model}}/{{plan}}/{{source}}-int{{bits}}/card.json",
        packed=f"{RESULTS}/{{model}}/{{plan}}/{{source}}-int{{bits}}/packed.pt",
    log:
        f"{LOGS}/{{model}}/{{plan}}/{{source}}-int{{bits}}/model.log",
    benchmark:
        f"{LOGS}/{{model}}/{{plan}}/{{source}}-int{{bits}}/model.benchmark.tsv"
    wildcard_constraints:
        source="pruned|compensated|recovered|distilled",
        bits="4|8",
    conda:
        model_environment
    resources:
        mem_mb=memory(4000),
        runtime=minutes(15),
    script:
        "../scripts/quantize.py"
