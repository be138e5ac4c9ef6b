# The report: one page and its tables, from everything above.


rule report:
    input:
        datasets=expand(SUMMARY, dataset=used_datasets(CONFIG)),
        scores=expand(SCORES, model=COMPRESSED),
        plans=expand(PLAN, model=COMPRESSED, plan=PLANS),
        parents=expand(METRICS, model=CONFIG.models, plan="parent", stage="original"),
        pruned=expand(METRICS, model=COMPRESSED, plan=PLANS, stage="pruned"),
        trained=trained_metrics(*STAGES),
        downstream=downstream_metrics(),
    output:
        page=report(
            f"{RESULTS}/report/index.html",
            caption="../report/index.rst",
            category="Report",
        ),
        sweep=report(
            f"{RESULTS}/report/sweep.csv", caption="../report/sweep.rst", category="Tables"
        ),
        downstream=report(
            f"{RESULTS}/report/downstream.csv",
            caption="../report/downstream.rst",
            category="Tables",
        ),
        cost=report(f"{RESULTS}/report/cost.csv", caption="../report/cost.rst", category="Tables"),
        errors=report(
            f"{RESULTS}/report/errors.csv", caption="../report/errors.rst", category="Tables"
        ),
        data=report(f"{RESULTS}/report/data.csv", caption="../report/data.rst", category="Tables"),
        suspects=report(
            f"{RESULTS}/report/suspects.csv", caption="../report/suspects.rst", category="Tables"
        ),
        usage=report(
            f"{RESULTS}/report/usage.csv", caption="../report/usage.rst", category="Tables"
        ),
    log:
        f"{LOGS}/report/index.log",
    benchmark:
        f"{LOGS}/report/index.benchmark.tsv"
    conda:
        "../envs/workflow.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(15),
    params:
        settings=settings(CONFIG),
    script:
        "../scripts/report.py"
