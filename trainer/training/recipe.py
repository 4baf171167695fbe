"""How to train a network: every number that a person may want to change, with its default."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from trainer.training.augmentation import Augmentation


class Recipe(BaseModel):
    """How to train. The defaults are the shipped model's (docs/research/experiments.md says what each is worth)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(default=30, ge=1, le=1000)
    clips_per_epoch: int | None = Field(default=None, description="Draws an epoch; None: as many as there are.")
    batch: int = Field(default=16, ge=2, le=512)
    learning_rate: float = 2.5e-3
    weight_decay: float = 0.02
    warmup: float = Field(default=0.1, description="Share of all steps over which the learning rate rises.")
    ema: float = Field(default=0.98, description="Decay of the averaged weights that the result holds; 0: none.")
    label_smoothing: float = 0.0
    hint_share: float = Field(default=0.5, description="Weight of the teacher's hints, where the clips have them.")
    frame_hint_share: float = Field(default=1.0, description="Weight of its hints for each step, where there are any.")
    mixup: float = Field(default=0.0, description="Share of clips that are mixed with another.")
    prefix_share: float = Field(default=0.3, description="Share of the loss on predictions before the end.")
    prefix_from_s: float = Field(default=0.4, description="Seconds of speech from which prefixes count.")
    longest_s: float = Field(default=3.0, description="Longer clips are cut to a random stretch of this length.")
    augmentation: Augmentation = Augmentation()
