# From a parent to pruned models: scores once, then a plan and a narrow model per budget.


rule score:
    input:
        model=f"{PARENT}/model.pt",
        card=f"{PARENT}/card.json",
        store=data_of(CONFIG.scoring.dataset),
    output:
        scores=SCORES,
    log:
        f"{LOGS}/{{model}}/scores.log",
    benchmark:
        f"{LOGS}/{{model}}/scores.benchmark.tsv"
    conda:
        model_environment
    resources:
        mem_mb=larger(8000),
        runtime=longer(120),
        gpu=GPUS,
    params:
        settings=settings(CONFIG.scoring),
        criteria=CONFIG.sweep.scored(),
        seed=CONFIG.seed,
    script:
        "../scripts/score.py"


rule plan:
    input:
        model=f"{PARENT}/model.pt",
        scores=SCORES,
    output:
        plan=PLAN,
    log:
        f"{LOGS}/{{model}}/{{plan}}/plan.log",
    benchmark:
        f"{LOGS}/{{model}}/{{plan}}/plan.benchmark.tsv"
    wildcard_constraints:
        plan=one_of(PLANS),
    conda:
        model_environment
    resources:
        mem_mb=larger(4000),
        runtime=longer(15),
    params:
        settings=lambda wildcards: plan_settings(wildcards.plan),
    script:
        "../scripts/plan.py"


rule prune:
    input:
        model=f"{PARENT}/model.pt",
        card=f"{PARENT}/card.json",
        plan=PLAN,
    output:
        model=f"{RESULTS}/{{model}}/{{plan}}/pruned/model.pt",
        card=f"{RESULTS}/{{model}}/{{plan}}/pruned/card.json",
    log:
        f"{LOGS}/{{model}}/{{plan}}/pruned/model.log",
    benchmark:
        f"{LOGS}/{{model}}/{{plan}}/pruned/model.benchmark.tsv"
    conda:
        model_environment
    resources:
        mem_mb=larger(4000),
        runtime=longer(15),
    script:
        "../scripts/prune.py"
