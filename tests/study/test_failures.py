from irrepress.study.failures import Failure, failed_jobs, summary

LOG = """\
[Mon Nov 23 05:24:42 2026]
rule score:
    input: results/s/m/parent/original/model.pt
    output: results/s/m/scores.h5
    log: logs/s/m/scores.log
    jobid: 4
Error in rule score:
    message: SLURM-job '3' failed
    jobid: 4
    input: results/s/m/parent/original/model.pt
    output: results/s/m/scores.h5
    log: logs/s/m/scores.log, .snakemake/slurm_logs/3.log (check log file(s) for error details)
Logfile logs/s/m/scores.log:
    rule score: the file is damaged
Trying to restart job 4.
Error in rule evaluate:
    jobid: 7
    output: results/s/m/metrics.json
    log: logs/s/m/metrics.log (check log file(s) for error details)
Trying to restart job 7.
Error in rule score:
    jobid: 4
    output: results/s/m/scores.h5
    log: logs/s/m/scores.log (check log file(s) for error details)
[Mon Nov 23 05:24:50 2026]
Finished jobid: 7 (Rule: evaluate)
Error in group plans:
    jobs:
        rule plan:
            jobid: 9
            output: results/s/m/taylor-0.50/plan.json
            log: logs/s/m/taylor-0.50/plan.log (check log file(s) for error details)
        rule prune:
            jobid: 10
            output: results/s/m/taylor-0.50/pruned/model.pt, results/s/m/card.json
"""


def test_jobs_that_failed_for_good_are_told_with_their_logs():
    failures = failed_jobs(LOG)
    assert failures == [
        Failure("score", "results/s/m/scores.h5", "logs/s/m/scores.log", 2),
        Failure("plan", "results/s/m/taylor-0.50/plan.json", "logs/s/m/taylor-0.50/plan.log", 1),
        Failure("prune", "results/s/m/taylor-0.50/pruned/model.pt", "", 1),
    ]
    lines = summary(failures).splitlines()
    assert lines[0] == "3 jobs failed:"
    assert lines[1] == "  score (2 attempts): results/s/m/scores.h5"
    assert lines[2] == "    log: logs/s/m/scores.log"


def test_a_run_without_failures_has_none():
    assert failed_jobs("[Mon Nov 23]\nFinished jobid: 3 (Rule: plan)\n") == []
