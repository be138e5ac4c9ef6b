# Refinement: the model runs dynamics, its parent labels the frames, and it is trained on those
# where it was wrong, in rounds.


REFINED = PATHS.stage(stage="refined")


rule refine:
    input:
        plan=PATHS.plan(),
        parent=PARENT.model_file,
        model=UNREFINED.model_file,
        card=UNREFINED.card,
        teacher=lambda wildcards: INPUTS.teacher(CONFIG.refinement.dataset, wildcards.model),
        starts=PATHS.data(CONFIG.refinement.of),
    output:
        model=REFINED.model_file,
        card=REFINED.card,
        training=REFINED.training,
        frames=REFINED.frames,
    log:
        PATHS.log(REFINED.model_file),
    benchmark:
        PATHS.benchmark(REFINED.model_file)
    conda:
        model_environment
    threads: OF_A_TRAINING
    resources:
        **training(CONFIG.refinement),
        mem_mb=memory(16000),
        runtime=minutes(1440),
    params:
        **ON_DEVICE,
        settings=parameters(CONFIG.refinement),
        apart=untracked(apart(CONFIG.refinement)),
        seed=CONFIG.seed,
    script:
        "../scripts/refine.py"
