"""Commands on a model's file: inspect it, print its card, write it in another form."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from irrepress.cli.options import (
    FamilyOption,
    JsonOption,
    LicenceOption,
    ModalOption,
    ModelArgument,
    OverwriteOption,
)
from irrepress.cli.output import print_json, print_table, warn
from irrepress.core.files import refuse_existing
from irrepress.core.section import NumberType

OutputArgument = Annotated[Path, typer.Argument(metavar="OUTPUT", help="Where the model goes.")]


def inspect(
    model: ModelArgument,
    family: FamilyOption = None,
    modal: ModalOption = None,
    licence: LicenceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a model's family, irreps, groups of irreps blocks, parameters and cost."""
    from irrepress.evaluation.description import describe
    from irrepress.study.loading import load_model

    loaded = load_model(model, family, modal=modal, licence=licence, warn=warn).model
    description = describe(loaded)
    if as_json:
        print_json({"model": model, **asdict(description)})
        return
    print_table(model, ("property", "value"), description.rows())
    # Groups of one width keep equally many channels; plans can name it (sweep.explicit).
    titles = ("group", "irrep", "channels", "width")
    print_table("groups", titles, [tuple(map(str, asdict(g).values())) for g in description.groups])


def card(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Path of a model or its card.")],
) -> None:
    """Print the card of a model: parent, stages, data, seeds, versions, licence."""
    from irrepress.study.cards import CARD, Card, card_path

    path = model if model.suffix == ".json" else card_path(model)
    if not path.is_file():
        path = path.with_name(CARD)
    print_json(Card.load(path).content())


def unpack(
    packed: Annotated[Path, typer.Argument(metavar="PACKED", help="A packed.pt of a study.")],
    output: OutputArgument,
) -> None:
    """Turn the packed file of a quantized model into a native model that loads anywhere."""
    from irrepress.families import get_family
    from irrepress.quantization import packing

    family = get_family(packing.packed_family(packed))
    packing.unpack(family, packed).save(output)
    typer.echo(f"{output}: a native {family.name} model")


def export(
    model: ModelArgument,
    output: OutputArgument,
    dtype: Annotated[NumberType, typer.Option(help="Type of its numbers.")],
    family: FamilyOption = None,
    modal: ModalOption = None,
    licence: LicenceOption = None,
) -> None:
    """Write a model in another type of numbers, where its family's files hold both."""
    import torch

    from irrepress.catalogue.families import check_number_type
    from irrepress.study.loading import load_model

    found = load_model(model, family, modal=modal, licence=licence, dtype="float64", warn=warn)
    loaded = found.model
    check_number_type(loaded.family.name, dtype, "--dtype")
    loaded.save(output, dtype=getattr(torch, dtype))
    typer.echo(f"{output}: {dtype}, a native {loaded.family.name} model")


def merge(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A mixture of experts: UMA.")],
    output: OutputArgument,
    formula: Annotated[str, typer.Option(help="Composition that it is merged for: SiO2.")],
    modal: ModalOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Merge a mixture of experts into the one network that it is for a composition and a task."""
    import irrepress

    refuse_existing(output, overwrite)
    merged = irrepress.merge(model, formula, modal=modal, device="cpu")
    merged.save(output, overwrite=overwrite)
    typer.echo(merged)
    typer.echo(f"{output}: for {formula} alone")
