"""What a request asks of a generator."""

from typing import NamedTuple

__all__ = ["PromptSampling"]


class PromptSampling(NamedTuple):
    """How an image is made; the same seed gives the same image on the same device."""

    prompt: str
    seed: int
    negative_prompt: str = ""
    steps: int = 30
    guidance_scale: float = 7.5
