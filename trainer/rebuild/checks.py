"""What the gate is told and what it says, for the process that makes a model and the one that publishes it."""

from pydantic import BaseModel, ConfigDict


class Bounds(BaseModel):
    """How much worse than the champion a candidate may be."""

    model_config = ConfigDict(frozen=True)

    corpora: float = 0.02
    group: float = 0.05
    ece: float = 0.05
    uncertain: float = 0.15
    cost: float = 5.0


class Check(BaseModel):
    """One check: `passed` is None where it could not be made, and `why` says what was found.

    low, high: 90% of the draws of candidate less champion, or of the candidate's figure where it is alone, lie between.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    about: str
    passed: bool | None
    why: str
    candidate: float | None = None
    champion: float | None = None
    low: float | None = None
    high: float | None = None
    bound: float | None = None

    def told(self) -> str:
        """In words, with the figures."""
        if self.candidate is None:
            return f"{self.about}: {self.why}"
        champion = "" if self.champion is None else f" (champion {self.champion:.4g})"
        return f"{self.about} {self.candidate:.4g}{champion}: {self.why}"
