"""How a study names a checkpoint."""

from pydantic import Field

from irrepress.core.section import NumberType, PathText, Section, Text


class ModelRef(Section):
    """A checkpoint of a family."""

    family: str = Field(description="Family of the checkpoint, such as sevennet.")
    checkpoint: PathText = Field(description="Keyword of the family (7net-0) or path of a file.")
    modal: Text | None = Field(
        None, description="Level of theory of a multi-modal checkpoint, such as PBE."
    )
    sha256: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="Refuse the checkpoint file if its SHA-256 is another one.",
    )
    licence: Text | None = Field(
        None,
        description="Licence of the weights, for the model card. A checkpoint whose licence "
        "restricts its use is downloaded only if this names the licence, to say that you accept "
        "it; a run without it shows the licence.",
    )
    dtype: NumberType = Field(
        "float32",
        description="Type of numbers that models are made, trained and saved in, where the "
        "family's files hold both (SevenNet's are float32).",
    )
