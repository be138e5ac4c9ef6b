# irrepress: compress SO(3)-equivariant atomistic foundation models.
#
#   snakemake --cores 2 --configfile config/quickstart.yaml     a whole small study
#   snakemake --cores all --configfile config/my-system.yaml    a fast model for your own system
#   snakemake --cores all                                       the study of config/config.yaml
#   snakemake --cores all downloads                             only what needs a network
#   snakemake --cores all data                                  only the datasets
#   snakemake --cores all sweep                                 only the sweep of plans
#   snakemake --cores all archives                              trained models, one file each
#   snakemake --profile slurm all                               on a SLURM cluster
#
# The config is checked before the graph of jobs is built: a mistake in it ends the run with
# one message. Results go to results/{name of the study}/, logs to logs/ under the same path.
from snakemake.utils import min_version

min_version("9.27")

if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


include: "rules/common.smk"
include: "rules/resources.smk"
include: "rules/data.smk"
include: "rules/checkpoints.smk"
include: "rules/prune.smk"


# Stages that the config leaves out have no rules: Snakemake then says that it cannot make them.
if CONFIG.compensation is not None:

    include: "rules/compensate.smk"


if CONFIG.recovery is not None:

    include: "rules/recover.smk"


if CONFIG.distillation is not None:

    include: "rules/distill.smk"


if CONFIG.quantization is not None:

    include: "rules/quantize.smk"


if CONFIG.export is not None:

    include: "rules/export.smk"


if CONFIG.downstream is not None:

    include: "rules/downstream.smk"


include: "rules/evaluate.smk"
include: "rules/archive.smk"
include: "rules/report.smk"


refuse_what_no_cluster_has()
warn_of_trainings_without_warning()


report: "report/workflow.rst"


localrules:
    all,
    downloads,
    data,
    parents,
    scores,
    sweep,
    compensated,
    recovered,
    distilled,
    quantized,
    downstream,
    archives,


onstart:
    finish_jobs_on_interrupt()
    update_texts()
    if slurm_is_used():
        refuse_what_the_cluster_would()


onsuccess:
    tell_what_was_made()


onerror:
    tell_what_was_made()
    for failures in map(failed_jobs, texts_of(log)):
        if failures:
            print(summary(failures), file=sys.stderr)


rule all:
    default_target: True
    input:
        rules.report.output,


rule downloads:
    input:
        [
            DOWNLOAD.format(collection=collection, file=file)
            for collection, file in sorted(DOWNLOADS)
        ],


rule data:
    input:
        expand([DATA, SUMMARY], dataset=CONFIG.datasets),


rule parents:
    input:
        expand(METRICS, model=CONFIG.models, plan=["parent"], stage=["original"]),


rule scores:
    input:
        expand(SCORES, model=COMPRESSED),


rule sweep:
    input:
        expand(METRICS, model=COMPRESSED, plan=PLANS, stage=["pruned"]),


rule compensated:
    input:
        trained_metrics("compensated"),


rule recovered:
    input:
        trained_metrics("recovered"),


rule distilled:
    input:
        trained_metrics("distilled"),


rule quantized:
    input:
        trained_metrics(*QUANTIZED_STAGES),


rule downstream:
    input:
        downstream_metrics(),


rule archives:
    input:
        archives_of_trained_models(),
