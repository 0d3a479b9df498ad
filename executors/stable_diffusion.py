"""The Stable Diffusion x4 upscaler: detail invented to a prompt, for small pictures."""

from collections.abc import Mapping

from contract.options import SAMPLING_OPTIONS
from executors.base import UpscalerExecutor
from executors.served_models import device_of, store_of
from superres.diffusion.model import DiffusionModel
from superres.diffusion.options import sampling
from superres.diffusion.spec import SPEC
from superres.errors import BadOption, BadSetting
from superres.model_loader import LoadedModel


class StableDiffusion(UpscalerExecutor):
    """The Stable Diffusion x4 upscaler: detail invented to a prompt, for small pictures."""

    system = SPEC.system

    def load(self) -> Mapping[str, LoadedModel]:
        """The one model of this system. Raises Misconfigured."""
        settings = self.settings
        try:
            sampling({name: settings.defaults[name] for name in SAMPLING_OPTIONS})
        except BadOption as error:
            raise BadSetting(str(error), option=error.option, allowed=error.allowed) from error
        model = DiffusionModel(
            SPEC,
            device_of(settings),
            store_of(settings),
            settings.weights,
            max_pixels=settings.max_diffusion_pixels,
            keep_colours=settings.keep_colours,
        )
        return {SPEC.name: model}
