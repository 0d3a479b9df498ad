"""A data set of originals made into pairs for training."""

from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from superres.codecs.decode import DEFAULT_LIMITS, decode
from superres.codecs.encode import FORMATS, encode, fit_frame
from superres.dataset.manifest import Manifest
from superres.dataset.pair_files import Layout, Pair, make_writer
from superres.dataset.sources import DatasetFile, check_apart, list_images
from superres.degrade import DegradeOptions, crop_frame, degrade_frame, make_seed
from superres.errors import BadOption, SuperresError, concerns_all
from superres.image.frame import Frame, Image

__all__ = ["PairSettings", "PairedSet", "make_pairs"]

Tell = Callable[[str, Exception], None]
"""Told the name of an image that failed, and why."""


@dataclass(frozen=True, kw_only=True)
class PairSettings:
    """What pairs are made: all that a run which goes on must have in common."""

    options: DegradeOptions  # its seed is that of the whole set
    layout: Layout = "folders"
    shard_pairs: int = 1000  # pairs in an archive of WebDataset


class PairedSet(NamedTuple):
    """How many images are new, were there before and failed."""

    made: int
    kept: int
    failed: int


class _Waiting(NamedTuple):
    """A pair that is being made."""

    name: str
    pair: Future[Pair]


def make_pairs(
    source: Path,
    target: Path,
    settings: PairSettings,
    tell: Tell,
    *,
    workers: int = 2,
    restart: bool = False,
) -> PairedSet:
    """Make an original and a degraded copy of every image; what is there already is kept.

    The same settings give the same bytes, whatever the number of workers, made at once or in
    several runs.

    Args:
        source: A folder of images, with folders and tar archives inside.
        target: A folder for the pairs and their manifest, which has every parameter.
        settings: What is made.
        tell: Called for each image that fails.
        workers: Threads.
        restart: Whether to make everything anew.

    Returns:
        The numbers of images.

    Raises:
        BadOption: There are no images, or `target` holds what other settings made.
    """
    made = kept = failed = 0
    settings.options.check()
    check_apart(source, target)
    asked = {"made": "pairs", **settings.options._asdict(), "layout": settings.layout}
    if settings.layout == "webdataset":
        asked["shard_pairs"] = settings.shard_pairs
    with (
        Manifest(target, asked, restart) as manifest,
        ThreadPoolExecutor(workers) as pool,
        closing(_start(source, settings, manifest, pool, 2 * workers)) as started,
    ):
        writer = make_writer(settings.layout, manifest, settings.shard_pairs)
        for waiting in started:
            if waiting is None:
                kept += 1
                continue
            try:
                pair = waiting.pair.result()
            except (SuperresError, OSError, MemoryError) as error:
                if concerns_all(error):
                    raise
                failed += 1
                tell(waiting.name, error)
                continue
            writer.write(pair)
            made += 1
        writer.finish()
    return PairedSet(made, kept, failed)


def _start(
    source: Path, settings: PairSettings, manifest: Manifest, pool: ThreadPoolExecutor, most: int
) -> Generator[_Waiting | None]:
    """Yield pairs in the order of the images, `most` of them begun ahead; None for one that is
    there.
    """
    begun: list[_Waiting | None] = []
    seen: dict[str, str] = {}
    for file in list_images(source):
        before = seen.setdefault(file.key, file.name)
        if before != file.name:
            allowed = f"a name that differs from {before} in more than its ending"
            raise BadOption("INPUT", file.name, allowed)
        if file.key in manifest.records:
            begun.append(None)
        else:
            begun.append(_begin(file, settings, pool))
        if len(begun) > most:
            yield begun.pop(0)
    yield from begun


def _begin(file: DatasetFile, settings: PairSettings, pool: ThreadPoolExecutor) -> _Waiting:
    """Return the pair of a file, which is read here: archives are read in their order."""
    try:
        data = file.read(DEFAULT_LIMITS.max_bytes)
    except (OSError, SuperresError) as error:
        failed: Future[Pair] = Future()
        failed.set_exception(error)
        return _Waiting(file.name, failed)
    return _Waiting(file.name, pool.submit(_make_pair, file, data, settings))


def _make_pair(file: DatasetFile, data: bytes, settings: PairSettings) -> Pair:
    """Return the pair of an image file."""
    image = decode(data)
    # What JPEG holds is what training reads: 8 bits, sRGB, no alpha.
    plain = fit_frame(image.frames[0], FORMATS["jpeg"], image.icc)
    options = settings.options
    options = options._replace(seed=make_seed(options.seed, file.key))
    frame = crop_frame(plain, options.reduction)
    degraded, steps = degrade_frame(frame, options)
    record = {
        "name": file.key,
        "source": file.name,
        **options._asdict(),
        "hr_size": list(frame.size),
        "lr_size": list(degraded.size),
        "cropped": [a - b for a, b in zip(image.size, frame.size, strict=True)],
        "alpha_laid_on_white": image.frames[0].alpha is not None,
        "frames_dropped": len(image.frames) - 1 + image.frames_dropped,
        "steps": steps,
    }
    return Pair(file.key, _encode(frame), _encode(degraded), record)


def _encode(frame: Frame) -> bytes:
    return encode(Image((frame,), "png"), "png").data
