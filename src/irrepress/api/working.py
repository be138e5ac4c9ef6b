"""What steps that can be interrupted share."""

from collections.abc import Iterator
from contextlib import contextmanager

from irrepress.api.frames import AnyPath
from irrepress.core.errors import UserError
from irrepress.training.interruption import Stopped


@contextmanager
def told_when_stopped(step: str, work_dir: AnyPath | None) -> Iterator[None]:
    """Say where a step that is stopped has saved what it goes on from.

    Args:
        step: its name, for the message.
        work_dir: where it saves; None: what it has done is lost.

    Raises:
        KeyboardInterrupt: it was stopped, and saved nothing.
        UserError: it was stopped, and goes on from ``work_dir``.
    """
    try:
        yield
    except Stopped as error:
        if work_dir is None:
            raise KeyboardInterrupt from None
        raise UserError(
            f"{step}: interrupted, and saved in {work_dir}; the same call goes on from there"
        ) from error
