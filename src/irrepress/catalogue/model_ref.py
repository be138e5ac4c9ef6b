"""References to checkpoints in configs."""

from pydantic import Field

from irrepress.core.section import NumberType, PathText, Section, Text


class ModelRef(Section):
    """A reference to a checkpoint of a family.

    Example:
        >>> ModelRef(family="sevennet", checkpoint="7net-0").dtype
        'float32'
    """

    family: str = Field(description="Family of the checkpoint, such as sevennet.")
    checkpoint: PathText = Field(
        description="Keyword of the family (such as 7net-0) or path of a file."
    )
    modal: Text | None = Field(
        None, description="Level of theory of a multi-modal checkpoint, such as PBE."
    )
    sha256: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="Required SHA-256 of the checkpoint file.",
    )
    licence: Text | None = Field(
        None,
        description="Licence of the weights, for the model card. A checkpoint with a restrictive "
        "licence is only downloaded if you accept it by giving its name here; a run "
        "without it shows the licence.",
    )
    dtype: NumberType = Field(
        "float32",
        description="Dtype in which models are made, trained and saved, if the family's files "
        "support both (SevenNet's are float32).",
    )
