"""How a request asks a diffusion model to sample: values and defaults."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contract.option import write_exactly
from superres.request_options import read_option

_RANDOM_SEEDS = 2**32  # enough to choose from, and short enough to type again


@dataclass(frozen=True)
class Sampling:
    """How one image is made; the defaults are the publisher's."""

    seed: int
    prompt: str = ""
    negative_prompt: str = ""
    steps: int = 75
    guidance_scale: float = 9.0
    noise_level: int = 20

    @property
    def guided(self) -> bool:
        """Whether the network runs twice a step, with and without the prompt.

        Where both prompts are the same, guidance leads nowhere and would only take time.
        """
        return self.guidance_scale > 1 and self.prompt != self.negative_prompt

    @property
    def report(self) -> dict[str, Any]:
        """What another request needs for the same image, the prompts apart.

        A seed that a float would round is given as digits.
        """
        return {
            "seed": write_exactly(self.seed),
            "steps": self.steps,
            "guidance_scale": self.guidance_scale,
            "noise_level": self.noise_level,
        }


def read_sampling(given: Mapping[str, Any]) -> Sampling:
    """Return the options of a request; what is not given, or None, has its default, and a random
    seed.

    Raises BadOption that names option, value and what is allowed.
    """
    values = {name: read_option(name, value) for name, value in given.items() if value is not None}
    return Sampling(**{"seed": secrets.randbelow(_RANDOM_SEEDS), **values})
