"""Runtimes that budgets of time are measured in: what they take, and the code that runs there."""

from irrepress.core.errors import UserError
from irrepress.core.family import WritesSymmetrix
from irrepress.core.groups import Group
from irrepress.core.model import Model
from irrepress.deploy.config import FAMILIES
from irrepress.deploy.target import get_target
from irrepress.pruning.config import Runtime


def check_runtime(model: Model, runtime: Runtime, said: str) -> None:
    """Check that models can be timed in a runtime here, before time is spent.

    Args:
        model: the unpruned model.
        runtime: the runtime.
        said: what messages begin with: how the runtime is asked for.

    Raises:
        UserError: if the runtime does not take the model, or this Python lacks a package.

    Example:
        >>> check_runtime(model, "torchscript", "runtime")
        >>> try:
        ...     check_runtime(model, "symmetrix", "runtime")
        ... except UserError as error:
        ...     print(error)
        runtime: symmetrix runs no models of sevennet; take native or torchscript
    """
    family = model.family.name
    if family not in FAMILIES[runtime]:
        others: tuple[Runtime, ...] = ("native", "torchscript")
        known = " or ".join(name for name in others if family in FAMILIES[name])
        raise UserError(f"{said}: {runtime} runs no models of {family}; take {known}")
    target = get_target(runtime)
    for package in target.missing(family):
        raise UserError(
            f"{said}: {runtime} needs the package {package}, which this Python lacks; install it: "
            f"{target.install(package)}; or take another runtime"
        )
    groups_taken(model, runtime, said)


def groups_taken(model: Model, runtime: Runtime, said: str) -> list[Group]:
    """Return the groups of a model, restricted so that what a plan leaves runs in a runtime.

    Args:
        model: the unpruned model, with the layers to keep.
        runtime: the runtime.
        said: what messages begin with: how the runtime is asked for.

    Raises:
        UserError: if the runtime does not take the model itself, or none of its family.

    Example:
        >>> groups_taken(model, "torchscript", "runtime") == model.groups()
        True
    """
    groups = model.groups()
    if runtime != "symmetrix":
        return groups
    family = model.family
    if not isinstance(family, WritesSymmetrix):
        raise UserError(f"{said}: symmetrix runs no models of {family.name}; leave it out")
    if reasons := refusals(model, runtime):
        raise UserError(
            f"{said}: symmetrix does not take the parent, for {'; '.join(reasons)}, which pruning "
            "does not change; leave it out, or choose another model"
        )
    return family.symmetrix_groups(groups)


def refusals(model: Model, runtime: Runtime) -> list[str]:
    """Return what a runtime does not take of a model of a family that it runs; empty: nothing.

    Example:
        >>> refusals(model, "torchscript")
        []
    """
    if runtime != "symmetrix":
        return []
    if not isinstance(model.family, WritesSymmetrix):
        return [f"models of {model.family.name}"]
    return list(model.family.symmetrix_refusals(model))


def takes(model: Model, runtime: Runtime) -> bool:
    """Return whether a runtime takes the architecture of a model; see `refusals`."""
    return not refusals(model, runtime)


def code_of(model: Model, runtime: Runtime) -> str:
    """Name the code that runs a model in a runtime: packages with their versions.

    Example:
        >>> code_of(model, "torchscript").startswith("torch ")
        True
    """
    if runtime == "native":
        return model.family.own_code()
    target = get_target(runtime)
    packages = target.tested(model.family.name).items()
    return ", ".join([*(" ".join(package) for package in packages), *target.notes(model)])
