# From a parent to pruned models: scores once, then a plan and a narrow model per budget.


PRUNED = PATHS.stage(stage="pruned")
IN_ROUNDS = [name for name, recipe in PLANS.items() if recipe.in_rounds]


rule score:
    input:
        model=PARENT.model_file,
        card=PARENT.card,
        store=PATHS.data(CONFIG.scoring.dataset),
    output:
        scores=PATHS.scores(),
    log:
        PATHS.log(PATHS.scores()),
    benchmark:
        PATHS.benchmark(PATHS.scores())
    conda:
        model_environment
    resources:
        **gpus(),
        mem_mb=memory(8000),
        runtime=minutes(120),
    params:
        **ON_DEVICE,
        settings=parameters(CONFIG.scoring),
        criteria=CONFIG.sweep.scored(),
        seed=CONFIG.seed,
    script:
        "../scripts/score.py"


rule time_shapes:
    input:
        model=PARENT.model_file,
    output:
        shapes=PATHS.shapes(),
    log:
        PATHS.log(PATHS.shapes()),
    benchmark:
        PATHS.benchmark(PATHS.shapes())
    conda:
        model_environment
    resources:
        **gpus(),
        mem_mb=memory(8000),
        runtime=minutes(60),
    params:
        **ON_DEVICE,
        **runtime_parameter(CONFIG),
        shapes=CONFIG.sweep.timed_shapes,
        atoms=CONFIG.evaluation.timing_atoms,
        repeats=CONFIG.evaluation.timing_repeats,
        seed=CONFIG.seed,
    script:
        "../scripts/time_shapes.py"


rule plan:
    input:
        model=PARENT.model_file,
        scores=PATHS.scores(),
        shapes=lambda wildcards: INPUTS.shapes(wildcards.model),
    output:
        plan=PATHS.plan(),
    log:
        PATHS.log(PATHS.plan()),
    benchmark:
        PATHS.benchmark(PATHS.plan())
    wildcard_constraints:
        plan=one_of(name for name in PLANS if name not in IN_ROUNDS),
    conda:
        model_environment
    resources:
        mem_mb=memory(4000),
        runtime=minutes(15),
    params:
        **MODEL,
        settings=lambda wildcards: plan_parameters(CONFIG, wildcards.plan),
    script:
        "../scripts/plan.py"


# Scores what is left after every step, so that it needs the calibration structures, too.
rule plan_in_rounds:
    input:
        model=PARENT.model_file,
        scores=PATHS.scores(),
        shapes=lambda wildcards: INPUTS.shapes(wildcards.model),
        store=PATHS.data(CONFIG.scoring.dataset),
    output:
        plan=PATHS.plan(),
    log:
        PATHS.log(PATHS.plan()),
    benchmark:
        PATHS.benchmark(PATHS.plan())
    wildcard_constraints:
        plan=one_of(IN_ROUNDS),
    conda:
        model_environment
    resources:
        **gpus(),
        mem_mb=memory(8000),
        runtime=minutes(480),
    params:
        **ON_DEVICE,
        settings=lambda wildcards: plan_parameters(CONFIG, wildcards.plan),
        step=CONFIG.sweep.step,
        seed=CONFIG.seed,
        scoring=untracked(CONFIG.scoring),
    script:
        "../scripts/plan_in_rounds.py"


rule prune:
    input:
        model=PARENT.model_file,
        card=PARENT.card,
        plan=PATHS.plan(),
    output:
        model=PRUNED.model_file,
        card=PRUNED.card,
    log:
        PATHS.log(PRUNED.model_file),
    benchmark:
        PATHS.benchmark(PRUNED.model_file)
    conda:
        model_environment
    resources:
        mem_mb=memory(4000),
        runtime=minutes(15),
    params:
        **MODEL,
        **SEED,
    script:
        "../scripts/prune.py"
