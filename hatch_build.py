"""What the wheel holds beside the library: the workflow, which lies at the top of the source tree.

An editable installation has none of it: there the workflow of the source tree is the one that runs.
`irrepress.study.workflow_files` finds either.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WORKFLOW = ("Snakefile", "config", "envs", "profiles", "report", "rules", "scripts")


class Workflow(BuildHookInterface):
    """Puts the workflow into the package of a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files that a wheel holds beside the library."""
        if version == "standard":
            build_data["force_include"] |= {name: f"irrepress/workflow/{name}" for name in WORKFLOW}
