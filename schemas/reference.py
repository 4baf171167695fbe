"""What a model's own data are like: histograms that live calls are held against, to tell when they have changed."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_BINS = 65  # a label each, of the most that a card may have

Share = Annotated[float, Field(ge=0, le=1)]


class Histogram(BaseModel):
    """One figure: the share of its values in each bin. A value that is an edge lies in the bin above it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    edges: tuple[float, ...] = Field(max_length=MAX_BINS - 1, description="Between the bins, rising.")
    shares: tuple[Share, ...] = Field(min_length=1, max_length=MAX_BINS)
    bound: float = Field(
        ge=0, description="PSI that 1 in 100 draws of the same speakers exceeds, by bootstrap: more is no chance."
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if len(self.shares) != len(self.edges) + 1:
            raise ValueError("shares are one more than edges")
        if any(high <= low for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError("edges do not rise")
        if abs(sum(self.shares) - 1) > 1e-3:
            raise ValueError("the shares do not add up to 1")
        return self


class Reference(BaseModel):
    """The data that a model was tested on, heard by telephone, labels as often as the card's class prior says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    utterances: int = Field(ge=1)
    speakers: int = Field(ge=1)
    held_out: bool = Field(description="Whether training has not heard these speakers: else it is too sure of them.")
    figures: dict[str, Histogram] = Field(
        max_length=128,
        description="By figure: `labels` (the most probable one, by its number), `probability LABEL`, `level` (dBFS), "
        "`pitch` (logarithm of Hz), `speech` (share of speech in an utterance), `band 1` to `band 8` of the front end.",
    )
