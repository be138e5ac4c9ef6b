"""Parameters of rules: what a job depends on besides its files.

When a parameter changes, Snakemake reruns the job. So parameters only contain what determines its
result. Anything else that a script reads, such as licences and settings of the machine, is passed
as `untracked`.
"""

from collections.abc import Callable
from typing import Any

from irrepress.core.section import Section
from irrepress.evaluation.config import Evaluation
from irrepress.evaluation.physics.config import Validation
from irrepress.study.config import Config
from irrepress.study.sections import Deploy
from irrepress.training.config import OF_THE_MACHINE, Distillation, Training

# Updated in records without rerunning jobs (`irrepress.study.licences`).
_TEXTS = {"licence", "citation", "accept_licence"}
_TARGETS = {"atomic_energies", "hessian_rows", "hessian_weight"}
# What all plans of a sweep share.
SHARED = ("unit", "runtime", "multiple", "floor", "normalization", "deployable")


def parameters(section: Section) -> dict[str, Any]:
    """Return a section of the config, or the entire config, as a parameter."""
    if isinstance(section, Config):
        return section.model_dump(mode="json")
    names = _TEXTS
    if isinstance(section, Training):
        names = names | OF_THE_MACHINE
    if isinstance(section, Distillation):
        # Absent where unused, so that studies of earlier versions stay valid.
        names = names | {key for key in _TARGETS if not section.has_targets}
    if isinstance(section, Validation):
        names = names | {"tolerances", "minutes"}  # the parent's values do not depend on them
    if isinstance(section, Deploy):
        names = names | {"lammps"}  # a command of this machine
        if not section.cuequivariance:
            names = names | {"cuequivariance"}  # as in studies of earlier versions
    if isinstance(section, Evaluation):
        names = names | {"dynamics"}  # which has a rule of its own
    exclude: dict[str, Any] = dict.fromkeys(names, True)
    if isinstance(getattr(section, "labels", None), Section):
        exclude["labels"] = _TEXTS
    return section.model_dump(mode="json", exclude=exclude)


def apart(section: Section) -> dict[str, Any]:
    """Return the entries of a section that `parameters` omits but its script needs."""
    decide = parameters(section)
    content = section.model_dump(mode="json")
    return {key: value for key, value in content.items() if key not in decide}


def untracked(value: Any) -> Callable[..., Any]:
    """Return a parameter whose changes do not rerun a job.

    Snakemake does not compare parameters that are computed from outputs.

    Args:
        value: plain data, a section of the config, or a function from wildcards to one of these.
    """

    def given(wildcards: Any, output: Any) -> Any:
        found = value(wildcards) if callable(value) else value
        return found.model_dump(mode="json") if isinstance(found, Section) else found

    return given


def runtime_parameter(config: Config) -> dict[str, Any]:
    """Return the runtime of deployments that budgets are timed in, for models to compress.

    The result is empty where times are those of the family's own code, so that studies of earlier
    versions stay valid.
    """
    runtime, compressed = config.sweep.runtime, config.compressed_models()
    if runtime == "native":
        return {}
    return {"runtime": lambda wildcards: runtime if wildcards.model in compressed else "native"}


def plan_parameters(config: Config, plan: str) -> dict[str, Any]:
    """Return the recipe of a plan, with the settings that all plans of the sweep share."""
    shared = config.sweep.model_dump(mode="json")
    return {
        **config.plans()[plan].record(),
        **{name: shared[name] for name in SHARED if name in shared},
    }
