"""The TorchScript that ``sevenn get_model`` makes, for LAMMPS and for use without sevenn."""

import contextlib
import io
import tempfile
import warnings
from pathlib import Path

from sevenn.scripts.deploy import deploy

from irrepress.core.errors import explained
from irrepress.core.model import Model


def write_own_torchscript(model: Model, path: Path) -> None:
    """Write the serial file of ``sevenn get_model``; see `WritesTorchScript`."""
    with tempfile.TemporaryDirectory(prefix="irrepress-") as folder:
        checkpoint = Path(folder) / "model.pt"
        made = Path(folder) / "deployed.pt"
        model.save(checkpoint)
        # sevenn tells on stdout and by warnings which accelerators are missing.
        with (
            explained("torchscript: sevenn cannot write this model", "deploy it as native"),
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            deploy(str(checkpoint), str(made), modal=model.modal)
        path.write_bytes(made.read_bytes())
