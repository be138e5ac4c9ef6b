"""Failed jobs of a run of the workflow, from Snakemake's own log."""

import re
from dataclasses import dataclass

# For a failed job Snakemake logs "Error in rule NAME:" followed by indented details; for a failed
# group the same for each job, indented further. "Finished jobid: N" marks a later success.
_BEGIN = re.compile(r"^(?:Error in|        ) ?rule (?P<rule>\w+):$")
_FIELD = re.compile(r"^ +(?P<key>jobid|output|log): (?P<value>.+)$")
_FINISHED = re.compile(r"^Finished jobid: (?P<jobid>\d+)\b")


@dataclass
class Failure:
    """A job that failed in all its attempts.

    Attributes:
        rule: name of its rule.
        output: its first output.
        log: its log; empty if it has none.
        attempts: number of failed attempts.

    Example:
        >>> lines = ["Error in rule score:", "    jobid: 3", "    output: scores.h5"]
        >>> (failure,) = failed_jobs(chr(10).join(lines))
        >>> failure.rule, failure.output, failure.attempts
        ('score', 'scores.h5', 1)
    """

    rule: str
    output: str = ""
    log: str = ""
    attempts: int = 0


def failed_jobs(log: str) -> list[Failure]:
    """Return the failed jobs of a run, in the order of their first failure.

    Args:
        log: content of Snakemake's log of the run.
    """
    failures: dict[str, Failure] = {}
    rule, current = "", None
    for line in log.splitlines():
        if finished := _FINISHED.match(line):
            failures.pop(finished["jobid"], None)
        elif begin := _BEGIN.match(line):
            rule, current = begin["rule"], None
        elif field := _FIELD.match(line):
            value = field["value"].split(" (")[0].split(", ")[0]
            if field["key"] == "jobid" and rule:
                current = failures.setdefault(value, Failure(rule))
                current.attempts += 1
                rule = ""
            elif field["key"] == "output" and current:
                current.output = value
            elif field["key"] == "log" and current and not current.log:
                current.log = value
        elif not line.startswith(" "):
            rule, current = "", None
    return list(failures.values())


def summary(failures: list[Failure]) -> str:
    """Format failures for the terminal."""
    lines = [f"{len(failures)} jobs failed:" if len(failures) != 1 else "1 job failed:"]
    for each in failures:
        times = f" ({each.attempts} attempts)" if each.attempts > 1 else ""
        lines.append(f"  {each.rule}{times}: {each.output or 'no output'}")
        lines.append(f"    log: {each.log or 'none'}")
    return "\n".join(lines)
