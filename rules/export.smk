# Export: a model in another type of numbers, whose errors and time are measured like a stage's.


rule export:
    input:
        model=f"{RESULTS}/{{model}}/{{plan}}/{{source}}/model.pt",
        card=f"{RESULTS}/{{model}}/{{plan}}/{{source}}/card.json",
    output:
        model=f"{RESULTS}/{{model}}/{{plan}}/{{source}}-{{dtype}}/model.pt",
        card=f"{RESULTS}/{{model}}/{{plan}}/{{source}}-{{dtype}}/card.json",
    log:
        f"{LOGS}/{{model}}/{{plan}}/{{source}}-{{dtype}}/model.log",
    benchmark:
        f"{LOGS}/{{model}}/{{plan}}/{{source}}-{{dtype}}/model.benchmark.tsv"
    wildcard_constraints:
        source="pruned|compensated|recovered|distilled",
        dtype="float32|float64",
    conda:
        model_environment
    resources:
        mem_mb=memory(4000),
        runtime=minutes(15),
    script:
        "../scripts/export.py"
