"""Super-resolution engine: images in, larger images out. It knows nothing of servers.

    upscale     one image, as an array, Pillow's image or a file
    load        a model, to upscale many images with it
    models      what there is to choose from

Names are imported when they are first used, so that `import superres` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from contract import __version__

if TYPE_CHECKING:
    from superres.api import load, models, upscale
    from superres.catalogue import CATALOGUE
    from superres.codecs.decode import decode
    from superres.codecs.encode import encode
    from superres.errors import (
        BadImage,
        BadOption,
        Misconfigured,
        SuperresError,
        TooLarge,
        Unavailable,
    )
    from superres.inference.upscaler import Upscaler
    from superres.model_spec import ModelSpec

__all__ = [
    "CATALOGUE",
    "BadImage",
    "BadOption",
    "Misconfigured",
    "ModelSpec",
    "SuperresError",
    "TooLarge",
    "Unavailable",
    "Upscaler",
    "__version__",
    "decode",
    "encode",
    "load",
    "models",
    "upscale",
]

# The light ones first: a name is looked up in one after another.
_MODULES = ("errors", "model_spec", "catalogue", "codecs.decode", "codecs.encode", "api")


def __getattr__(name: str) -> Any:
    """Import an exported name."""
    if name in __all__:
        for module in _MODULES:
            found = getattr(import_module(f"superres.{module}"), name, None)
            if found is not None:
                return found
    raise AttributeError(f"module 'superres' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the exported names."""
    return __all__
