"""The Stable Diffusion x4 upscaler: detail invented to a prompt, for small images."""

from collections.abc import Mapping

from contract.options import SAMPLING_OPTIONS
from executors.served_models import make_device, make_store
from executors.upscaler import UpscalerExecutor
from superres.diffusion.model import DiffusionModel
from superres.diffusion.options import read_sampling
from superres.diffusion.spec import SPEC
from superres.errors import BadOption, BadSetting
from superres.model_loader import LoadedModel


class StableDiffusion(UpscalerExecutor):
    """The Stable Diffusion x4 upscaler: detail invented to a prompt, for small images."""

    system = SPEC.system

    def load(self) -> Mapping[str, LoadedModel]:
        """Return the one model of this system. Raises Misconfigured."""
        settings = self.settings
        try:
            read_sampling({name: settings.defaults[name] for name in SAMPLING_OPTIONS})
        except BadOption as error:
            raise BadSetting(str(error), option=error.option, allowed=error.allowed) from error
        model = DiffusionModel(
            SPEC,
            make_device(settings),
            make_store(settings),
            settings.weights,
            max_pixels=settings.max_diffusion_pixels,
            keep_colours=settings.keep_colours,
        )
        return {SPEC.name: model}
