"""Where a pipeline's files lie: a folder as diffusers writes it, or a pinned commit on the hub.

Weights are read as safetensors alone, and no code out of a model's folder runs.
"""

import re
from pathlib import Path

from superres.errors import BadSetting, WeightsMissing
from superres.weights.store import Store

__all__ = ["locate_pipeline"]

_INDEX = "model_index.json"
_PINNED = re.compile(r"([\w.-]+/[\w.-]+)@([0-9a-f]{40})")
_EXPECTED = (
    f"a folder with {_INDEX}, or owner/name@commit of the hub with the 40 digits of a commit: a "
    "branch may change under you"
)


def locate_pipeline(reference: str, store: Store, half: bool) -> Path:
    """Find the folder of a pipeline; one of the hub is downloaded into the cache.

    Args:
        reference: A folder, or owner/name@commit.
        store: Its cache folder, and whether it is offline.
        half: Whether to prefer weights in fp16.

    Returns:
        A folder with model_index.json.

    Raises:
        BadSetting: The reference is neither.
        WeightsMissing: The files cannot be had.
    """
    folder = Path(reference).expanduser()
    if folder.is_dir():
        if not (folder / _INDEX).is_file():
            raise BadSetting(f'generator "{reference}": expected {_EXPECTED}', option="generator")
        return folder
    pinned = _PINNED.fullmatch(reference)
    if pinned is None:
        raise BadSetting(f'generator "{reference}": expected {_EXPECTED}', option="generator")
    return _download(pinned[1], pinned[2], store, half)


def _download(name: str, commit: str, store: Store, half: bool) -> Path:
    """Return the folder of a commit's files in the cache."""
    from diffusers import DiffusionPipeline

    wrong: Exception | None = None
    for variant in ("fp16", None) if half else (None,):
        try:
            return Path(
                DiffusionPipeline.download(
                    name,
                    revision=commit,
                    cache_dir=str(store.cache() / "hub"),
                    local_files_only=store.offline,
                    use_safetensors=True,
                    variant=variant,
                )
            )
        except (OSError, ValueError) as error:
            wrong = error
    reason = "offline, and not in the cache" if store.offline else str(wrong).partition("\n")[0]
    raise WeightsMissing(
        f'generator "{name}@{commit}": {reason}; or name a folder with its files',
        option="generator",
    ) from wrong
