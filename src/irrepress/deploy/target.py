"""The runtimes that models are deployed for: what each takes, writes, and was tested with."""

import importlib.metadata
import importlib.util
import re
import shlex
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import ClassVar

from ase.data import chemical_symbols
from packaging.version import Version

from irrepress.core.errors import UserError, nearest
from irrepress.core.family import (
    WritesFastTorchScript,
    WritesMLIAP,
    WritesSymmetrix,
    WritesTorchScript,
)
from irrepress.core.model import Model
from irrepress.deploy.config import FAMILIES, TargetName
from irrepress.families.registry import get_family

# The model in its family's own format.
NATIVE = "model.pt"
_FILES = files("irrepress.deploy") / "files"


@dataclass(frozen=True)
class Proof:
    """How a deployment is checked on the machine where it is made.

    Attributes:
        told: in words.
        environment: environment variables that ``check.py`` needs.
        stand_in: script that takes the place of ``runtime.py`` where the runtime itself is not
            there; None where it is.
        timed: whether the runtime is there, so that it can be timed.

    Example:
        >>> Proof("by check.py in sevenn 0.13.0").stand_in is None
        True
    """

    told: str
    environment: Mapping[str, str] = field(default_factory=dict)
    stand_in: str | None = None
    timed: bool = True


class Target(ABC):
    """A runtime that models are deployed for.

    Attributes:
        name: its name, as ``--to`` takes it.
        runtime: the runtime in words.
        file: name of the model's file.
        example: file in ``files/`` that shows how the model is run.

    Example:
        >>> get_target("native").takes(model)
    """

    name: ClassVar[TargetName]
    runtime: ClassVar[str]
    file: ClassVar[str]
    example: ClassVar[str] = "run_ase.py"

    @property
    def families(self) -> Sequence[str]:
        """Families whose models it may take."""
        return FAMILIES[self.name]

    def takes(self, model: Model) -> None:
        """Check that the runtime takes a model, before time is spent.

        Raises:
            UserError: it does not, or a package that writes or checks it is missing; the message
                says what to do.
        """
        family = model.family.name
        if family not in self.families:
            others = [each.name for each in TARGETS.values() if family in each.families]
            raise UserError(
                f"deploy: {self.runtime} runs models of {', '.join(self.families)} and not of "
                f"{family}; choose --to {' or '.join(others)}"
            )
        for package in self.missing(family):
            raise UserError(
                f"deploy: {self.name} needs the package {package}, which this Python lacks, "
                f"to check what it writes; install it: {self.install(package)}"
            )

    @abstractmethod
    def packages(self, family: str) -> Mapping[str, str]:
        """Return the packages that run a family's models: name on PyPI -> module."""

    def missing(self, family: str) -> list[str]:
        """Return the packages that run a family's models and that this Python lacks."""
        return [name for name, module in self.packages(family).items() if not _has(module)]

    @abstractmethod
    def write(self, model: Model, folder: Path) -> None:
        """Write the file that the runtime loads.

        Args:
            model: the model.
            folder: where it goes; ``model.pt`` there is the model in its family's own format.
        """

    def install(self, package: str) -> str:
        """Return the command that installs a package of the runtime."""
        return f"pip install {package}"

    def tested(self, family: str) -> dict[str, str]:
        """Return the packages that run a family's models, with their versions here."""
        return {name: _version(name) for name in self.packages(family)}

    def notes(self, model: Model) -> list[str]:
        """Return what is to be known of the file."""
        return []

    def proof(self, model: Model, folder: Path) -> Proof:
        """Return how a deployment is checked here.

        Args:
            model: the model.
            folder: the deployment, with its scripts.
        """
        packages = self.tested(model.family.name).items()
        return Proof(f"by check.py in {', '.join(' '.join(package) for package in packages)}")

    def scripts(self, model: Model) -> dict[str, str]:
        """Return what lies beside the model's file: name -> text."""
        return {
            "runtime.py": self.script(model),
            "run.py": read_file(self.example),
            "check.py": read_file("check.py"),
        }

    def write_folder(self, model: Model, folder: Path) -> None:
        """Write the file that the runtime loads and the scripts that run it, and nothing else.

        Args:
            model: the model.
            folder: where they go; ``model.pt`` there is the model in its family's own format.
        """
        self.write(model, folder)
        for name, text in self.scripts(model).items():
            (folder / name).write_text(text, encoding="utf-8")
        if self.file != NATIVE:
            (folder / NATIVE).unlink()

    def script(self, model: Model) -> str:
        """Return ``runtime.py``, which makes the model run."""
        return with_constants(
            read_file(f"{self.name.replace('-', '_')}_{model.family.name}.py"), constants(model)
        )


class Native(Target):
    """The family's own package and ASE.

    Example:
        >>> Native().packages("sevennet")
        {'sevenn': 'sevenn'}
    """

    name: ClassVar[TargetName] = "native"
    runtime = "the family's own package"
    file = NATIVE

    def packages(self, family: str) -> Mapping[str, str]:
        """The family's own; see the base class."""
        modules = {"escn": "fairchem.core", "mace": "mace", "sevennet": "sevenn"}
        return {get_family(family).package: modules[family]}

    def write(self, model: Model, folder: Path) -> None:
        """Nothing is left to write; see the base class."""


class TorchScript(Target):
    """TorchScript, which needs torch alone, in Python or in C++.

    Args:
        own_form: whether the family's package writes it where irrepress has a faster form.

    Example:
        >>> TorchScript().file
        'deployed.pt'
    """

    name: ClassVar[TargetName] = "torchscript"
    runtime = "TorchScript"
    file = "deployed.pt"

    def __init__(self, *, own_form: bool = False):
        self.own_form = own_form

    def packages(self, family: str) -> Mapping[str, str]:
        """Torch; see the base class."""
        return {"torch": "torch"}

    def write(self, model: Model, folder: Path) -> None:
        """Write the fastest form that there is; see the base class."""
        family = model.family
        if isinstance(family, WritesFastTorchScript) and not self.own_form:
            try:
                family.write_torchscript(model, folder / self.file)
            except UserError as error:
                raise UserError(
                    f"{error}; or take the form of {family.package} (own_form: true, --own-form)"
                ) from error
        else:
            assert isinstance(family, WritesTorchScript)
            family.write_own_torchscript(model, folder / self.file)

    def notes(self, model: Model) -> list[str]:
        """Say whose TorchScript it is; see the base class."""
        faster = isinstance(model.family, WritesFastTorchScript) and not self.own_form
        return [f"TorchScript by {'irrepress' if faster else model.family.package}"]


class InLammps(Target):
    """LAMMPS with a pair style.

    Args:
        command: command of LAMMPS; None: what `found` or the check looks for.

    Attributes:
        input_script: script in a deployment that writes input of LAMMPS and runs it.
        remark: what users of the input have to know.

    Example:
        >>> isinstance(get_target("mliap"), InLammps)
        True
    """

    input_script: ClassVar[str] = "runtime.py"
    remark: ClassVar[str]

    def __init__(self, command: str | None = None):
        self.command = command

    @abstractmethod
    def pair(self, family: str) -> Mapping[str, str]:
        """Return constants of the script that runs LAMMPS: pair style and what comes with it."""

    def input_text(self, model: Model) -> str:
        """Return the script that runs LAMMPS."""
        return with_constants(read_file("lammps.py"), self.pair(model.family.name))

    def scripts(self, model: Model) -> dict[str, str]:
        """``in.lammps`` in place of ``run.py``; see the base class."""
        found = super().scripts(model)
        del found["run.py"]
        return {**found, self.input_script: self.input_text(model)}


class Lammps(InLammps, TorchScript):
    """LAMMPS with the pair style of the family's package, which loads TorchScript.

    Args:
        command: command of a LAMMPS that has the pair style; None: ``lmp``, if it has it.
        own_form: see `TorchScript`.

    Example:
        >>> Lammps().style("sevennet")
        'e3gnn'
    """

    name: ClassVar[TargetName] = "lammps"
    runtime = "LAMMPS"
    remark = "On one process; the pair style keeps its neighbours on the stack: ulimit -s unlimited"

    _STYLES: ClassVar[Mapping[str, tuple[str, str]]] = {
        "mace": ("mace no_domain_decomposition", "atom_modify map yes\nnewton on"),
        "sevennet": ("e3gnn", ""),
    }

    def __init__(self, command: str | None = None, *, own_form: bool = False):
        InLammps.__init__(self, command)
        TorchScript.__init__(self, own_form=own_form)

    def style(self, family: str) -> str:
        """Return the pair style that loads a family's models."""
        return self._STYLES[family][0].split()[0]

    def found(self, family: str) -> str | None:
        """Return the command of a LAMMPS that has the pair style; None if there is none.

        Raises:
            UserError: the command that was named cannot be started.
        """
        command = self.command or "lmp"
        if self.command is None and shutil.which("lmp") is None:
            return None
        try:
            told = subprocess.run(
                [*shlex.split(command), "-h"], capture_output=True, text=True, timeout=120
            ).stdout
        except (OSError, subprocess.SubprocessError) as error:
            raise UserError(
                f"deploy: --lmp {command}: cannot be started ({error}); give the command of a "
                f"LAMMPS with the pair style {self.style(family)}"
            ) from error
        if self.command is None and not re.search(rf"\b{self.style(family)}\b", told):
            return None
        return command

    def pair(self, family: str) -> Mapping[str, str]:
        """The pair style of the family's package; see the base class."""
        style, settings = self._STYLES[family]
        return {"PAIR_STYLE": style, "SETTINGS": settings}

    def script(self, model: Model) -> str:
        """The script that runs LAMMPS; see the base class."""
        return self.input_text(model)

    def proof(self, model: Model, folder: Path) -> Proof:
        """In LAMMPS, or in torch by the file that LAMMPS loads; see the base class."""
        command = self.found(model.family.name)
        if command is not None:
            return Proof(f"by check.py in LAMMPS ({command})", {"LMP": command})
        return Proof(
            "in torch, as LAMMPS loads it; no LAMMPS with the pair style "
            f"{self.style(model.family.name)} is here (--lmp): run check.py where there is one",
            stand_in=TorchScript().script(model),
            timed=False,
        )


class MLIAP(InLammps):
    """LAMMPS through its package ML-IAP, which calls the family's package in Python.

    Args:
        command: command of a LAMMPS with KOKKOS and ML-IAP for Python; None: that of ``LMP``, or
            ``lmp``, if it has them.
        cuequivariance: whether the file uses cuEquivariance in place of e3nn.

    Example:
        >>> sorted(MLIAP(cuequivariance=True).packages("sevennet"))
        ['cuequivariance-torch', 'sevenn', 'torch']
    """

    name: ClassVar[TargetName] = "mliap"
    runtime = "LAMMPS (ML-IAP)"
    file = "deployed.pt"
    input_script = "in_lammps.py"
    remark = "On one process, by a LAMMPS with KOKKOS and ML-IAP for Python"

    _CLASSES: ClassVar[Mapping[str, str]] = {
        "mace": "mace.calculators.lammps_mliap_mace",
        "sevennet": "sevenn.mliap",
    }

    def __init__(self, command: str | None = None, *, cuequivariance: bool = False):
        super().__init__(command)
        self.cuequivariance = cuequivariance

    def packages(self, family: str) -> Mapping[str, str]:
        """The family's own and torch, on which the file depends; see the base class."""
        found = {**Native().packages(family), "torch": "torch"}
        if self.cuequivariance:
            found["cuequivariance-torch"] = "cuequivariance_torch"
        return found

    def takes(self, model: Model) -> None:
        """Check what the family's package takes, too; see the base class."""
        super().takes(model)
        assert isinstance(model.family, WritesMLIAP)
        refusals = model.family.mliap_refusals(model, cuequivariance=self.cuequivariance)
        if refusals:
            mend = "leave cuequivariance out" if self.cuequivariance else "choose --to native"
            raise UserError(f"deploy: ML-IAP: {'; '.join(refusals)}; {mend}")

    def write(self, model: Model, folder: Path) -> None:
        """Write the object that LAMMPS loads; see the base class."""
        assert isinstance(model.family, WritesMLIAP)
        path = folder / self.file
        model.family.write_mliap(model, path, cuequivariance=self.cuequivariance)

    def notes(self, model: Model) -> list[str]:
        """Say on what it runs; see the base class."""
        assert isinstance(model.family, WritesMLIAP)
        return model.family.mliap_notes(cuequivariance=self.cuequivariance)

    def pair(self, family: str) -> Mapping[str, str]:
        """The pair style of ML-IAP; see the base class."""
        return {
            "PAIR_STYLE": "mliap unified {model} 0",
            "PAIR_COEFF": "* * {elements}",
            "SETTINGS": "atom_modify map yes\nnewton on",
            # LAMMPS of 2025 loads the file as torch did before 2.6.
            "COMMAND": "env TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 lmp -k on g 1 -sf kk "
            "-pk kokkos newton on neigh half",
        }

    def script(self, model: Model) -> str:
        """The script that runs LAMMPS or stands in for it; see the base class."""
        return with_constants(read_file("mliap.py"), {"MODULE": self._CLASSES[model.family.name]})

    def proof(self, model: Model, folder: Path) -> Proof:
        """In LAMMPS, or by what stands in for its data; see the base class."""
        runtime = load_script(folder / "runtime.py")
        command = self.command or runtime.in_lammps().command()
        reason = runtime.why_not_in_lammps(command)
        if reason is None:
            return Proof(f"by check.py in LAMMPS ({command})", {"LMP": command})
        if self.command is not None:
            raise UserError(
                f"deploy: --lmp {command}: does not load models through ML-IAP ({reason}); give "
                "the command of a LAMMPS with KOKKOS and ML-IAP for Python, with its switches "
                "(-k on ... -sf kk), or leave it out"
            )
        packages = " ".join(f"{name} {version}" for name, version in
                            list(self.tested(model.family.name).items())[:1])  # fmt: skip
        return Proof(
            f"by check.py in {packages}, with a stand-in for the data of LAMMPS; no LAMMPS with "
            f"KOKKOS and ML-IAP for Python is here ({reason}): run check.py where there is one",
            timed=False,
        )


class Symmetrix(Target):
    """symmetrix, which evaluates MACE models without torch.

    Example:
        >>> Symmetrix().families
        ('mace',)
    """

    name: ClassVar[TargetName] = "symmetrix"
    runtime = "symmetrix"
    file = "model.json"

    def packages(self, family: str) -> Mapping[str, str]:
        """symmetrix-xl; see the base class."""
        return {"symmetrix-xl": "symmetrix"}

    def install(self, package: str) -> str:
        """The version that was tested; see the base class."""
        return "pip install 'irrepress[symmetrix]'"

    def takes(self, model: Model) -> None:
        """Check the architecture, too; see the base class."""
        super().takes(model)
        assert isinstance(model.family, WritesSymmetrix)
        if refusals := model.family.symmetrix_refusals(model):
            raise UserError(
                f"deploy: symmetrix does not take {'; '.join(refusals)}; choose --to native or "
                "torchscript, or prune with deployable: symmetrix"
            )

    def write(self, model: Model, folder: Path) -> None:
        """Write symmetrix's JSON; see the base class."""
        assert isinstance(model.family, WritesSymmetrix)
        model.family.write_symmetrix(model, folder / self.file)


class TorchSim(Native):
    """torch-sim, which runs many structures in one batch.

    Example:
        >>> TorchSim().families
        ('mace', 'sevennet')
    """

    name: ClassVar[TargetName] = "torch-sim"
    runtime = "torch-sim"
    example = "run_torch_sim.py"

    def packages(self, family: str) -> Mapping[str, str]:
        """torch-sim and the family's own; see the base class."""
        return {"torch-sim-atomistic": "torch_sim", **super().packages(family)}

    def takes(self, model: Model) -> None:
        """Check that sevenn knows the version of torch-sim, too; see the base class."""
        super().takes(model)
        version = _version("torch-sim-atomistic")
        if model.family.name == "sevennet" and Version(version) < Version("0.6"):
            raise UserError(
                "deploy: sevenn takes torch-sim-atomistic 0.6 or later, which needs Python 3.12; "
                f"here is {version}: choose --to native"
            )


TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (Native(), TorchScript(), Lammps(), MLIAP(), Symmetrix(), TorchSim())
}


def get_target(
    name: str,
    *,
    own_form: bool = False,
    lammps: str | None = None,
    cuequivariance: bool = False,
) -> Target:
    """Return a target by name.

    Args:
        name: its name.
        own_form: see `TorchScript`.
        lammps: command of a LAMMPS; see `Lammps` and `MLIAP`.
        cuequivariance: see `MLIAP`.

    Raises:
        UserError: there is none of this name.
    """
    if name not in TARGETS:
        raise UserError(f"deploy: no target {name!r}; {nearest(name, TARGETS)}")
    target = TARGETS[name]
    if isinstance(target, Lammps):
        return Lammps(lammps, own_form=own_form)
    if isinstance(target, MLIAP):
        return MLIAP(lammps, cuequivariance=cuequivariance)
    return TorchScript(own_form=own_form) if isinstance(target, TorchScript) else target


def constants(model: Model) -> dict[str, object]:
    """Return what scripts say of a model, by the names of their constants."""
    return {"MODAL": model.modal, "DTYPE": str(model.dtype).removeprefix("torch.")}


def with_constants(script: str, values: Mapping[str, object]) -> str:
    """Return a script with other values of constants that it sets on a line of its own.

    >>> with_constants('MODAL = None  # head', {"MODAL": "pbe", "DTYPE": "float32"})
    "MODAL = 'pbe'  # head"
    """
    for name, value in values.items():
        pattern = rf"^({name}(?:: [^=]+)? = )(\S+|\"[^\"]*\")(?=  #|$)"
        # A template in which no value can be taken for a reference to a group.
        text = rf"\g<1>{repr(value).replace(chr(92), 2 * chr(92))}"
        script = re.sub(pattern, text, script, flags=re.MULTILINE)
    return script


def read_file(name: str) -> str:
    """Return the text of a script that is copied into deployments."""
    return (_FILES / name).read_text(encoding="utf-8")


def load_script(path: Path) -> ModuleType:
    """Return a script of a deployment as a module."""
    spec = importlib.util.spec_from_file_location(f"deployment_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def symbols_of(model: Model) -> list[str]:
    """Return the symbols of the elements that a model knows."""
    return [chemical_symbols[number] for number in model.elements]


def _has(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _version(package: str) -> str:
    return importlib.metadata.version(package).partition("+")[0]
