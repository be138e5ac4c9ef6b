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


if CONFIG.refinement is not None:

    include: "rules/refine.smk"


if CONFIG.quantization is not None:

    include: "rules/quantize.smk"


if CONFIG.export is not None:

    include: "rules/export.smk"


if CONFIG.downstream is not None:

    include: "rules/downstream.smk"


include: "rules/evaluate.smk"


if CONFIG.evaluation.dynamics is not None:

    include: "rules/dynamics.smk"


if CONFIG.validation is not None:

    include: "rules/validate.smk"


if CONFIG.deploy is not None:

    include: "rules/deploy.smk"


include: "rules/archive.smk"
include: "rules/report.smk"


or_exit(RUN.check_what_no_cluster_has, RESOURCES.gpu_type)
RUN.tell_of_trainings_without_warning(TRAININGS)


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
    refined,
    quantized,
    downstream,
    dynamics,
    validated,
    deployed,
    archives,


onstart:
    RUN.finish_jobs_on_interrupt()
    update_texts()
    or_exit(RUN.check_cluster, RESOURCES.gpu_type)


onsuccess:
    tell_what_was_made()


onerror:
    tell_what_was_made()
    tell_what_failed(log)


rule all:
    default_target: True
    input:
        rules.report.output,


rule downloads:
    input:
        TARGETS.downloads(),


rule data:
    input:
        TARGETS.data(),


rule parents:
    input:
        TARGETS.parents(),


rule scores:
    input:
        TARGETS.scores(),


rule sweep:
    input:
        TARGETS.sweep(),


rule compensated:
    input:
        TARGETS.trained("compensated"),


rule recovered:
    input:
        TARGETS.trained("recovered"),


rule distilled:
    input:
        TARGETS.trained("distilled"),


rule refined:
    input:
        TARGETS.trained("refined"),


rule quantized:
    input:
        TARGETS.quantized(),


rule downstream:
    input:
        TARGETS.downstream(),


rule dynamics:
    input:
        TARGETS.dynamics(),


rule validated:
    input:
        TARGETS.validated(),


rule deployed:
    input:
        TARGETS.deployed(),


rule archives:
    input:
        TARGETS.archives(),
