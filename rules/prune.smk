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
        **gpus(),
        mem_mb=memory(8000),
        runtime=minutes(120),
    params:
        settings=settings(CONFIG.scoring),
        criteria=CONFIG.sweep.scored(),
        seed=CONFIG.seed,
    script:
        "../scripts/score.py"


rule time_shapes:
    input:
        model=f"{PARENT}/model.pt",
    output:
        shapes=SHAPES,
    log:
        f"{LOGS}/{{model}}/shapes.log",
    benchmark:
        f"{LOGS}/{{model}}/shapes.benchmark.tsv"
    conda:
        model_environment
    resources:
        **gpus(),
        mem_mb=memory(8000),
        runtime=minutes(60),
    params:
        shapes=CONFIG.sweep.timed_shapes,
        atoms=CONFIG.evaluation.timing_atoms,
        repeats=CONFIG.evaluation.timing_repeats,
        seed=CONFIG.seed,
    script:
        "../scripts/time_shapes.py"


rule plan:
    input:
        model=f"{PARENT}/model.pt",
        scores=SCORES,
        shapes=timed_shapes,
    output:
        plan=PLAN,
    log:
        f"{LOGS}/{{model}}/{{plan}}/plan.log",
    benchmark:
        f"{LOGS}/{{model}}/{{plan}}/plan.benchmark.tsv"
    wildcard_constraints:
        plan=one_of(name for name in PLANS if name not in IN_ROUNDS),
    conda:
        model_environment
    resources:
        mem_mb=memory(4000),
        runtime=minutes(15),
    params:
        settings=lambda wildcards: plan_settings(wildcards.plan),
    script:
        "../scripts/plan.py"


# Scores what is left after every step, so that it needs the calibration structures, too.
rule plan_in_rounds:
    input:
        model=f"{PARENT}/model.pt",
        scores=SCORES,
        shapes=timed_shapes,
        store=data_of(CONFIG.scoring.dataset),
    output:
        plan=PLAN,
    log:
        f"{LOGS}/{{model}}/{{plan}}/plan.log",
    benchmark:
        f"{LOGS}/{{model}}/{{plan}}/plan.benchmark.tsv"
    wildcard_constraints:
        plan=one_of(IN_ROUNDS),
    conda:
        model_environment
    resources:
        **gpus(),
        mem_mb=memory(8000),
        runtime=minutes(480),
    params:
        settings=lambda wildcards: plan_settings(wildcards.plan),
        step=CONFIG.sweep.step,
        seed=CONFIG.seed,
    script:
        "../scripts/plan_in_rounds.py"


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
        mem_mb=memory(4000),
        runtime=minutes(15),
    script:
        "../scripts/prune.py"
