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

_MODULES = {
    "superres.api": ("load", "models", "upscale"),
    "superres.catalogue": ("CATALOGUE",),
    "superres.codecs.decode": ("decode",),
    "superres.codecs.encode": ("encode",),
    "superres.errors": (
        "BadImage",
        "BadOption",
        "Misconfigured",
        "SuperresError",
        "TooLarge",
        "Unavailable",
    ),
    "superres.inference.upscaler": ("Upscaler",),
    "superres.model_spec": ("ModelSpec",),
}


def __getattr__(name: str) -> Any:
    """Import an exported name."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'superres' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the exported names."""
    return __all__
