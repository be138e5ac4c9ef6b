# The report: one page and its tables, from everything above.


rule report:
    input:
        datasets=TARGETS.summaries(),
        scores=TARGETS.scores(),
        plans=TARGETS.plans(),
        parents=TARGETS.parents(),
        pruned=TARGETS.sweep(),
        trained=TARGETS.trained(),
        downstream=TARGETS.downstream(),
        dynamics=TARGETS.dynamics(),
        validated=TARGETS.validated(),
        deployed=TARGETS.deployed(),
    output:
        **{
            name: report(str(path), caption=f"../report/{name}.rst", category="Tables")
            for name, path in TARGETS.tables().items()
        },
        page=report(str(PATHS.page), caption="../report/index.rst", category="Report"),
    log:
        PATHS.log(PATHS.page),
    benchmark:
        PATHS.benchmark(PATHS.page)
    conda:
        "../envs/workflow.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(15),
    params:
        settings=parameters(CONFIG),
    script:
        "../scripts/report.py"
