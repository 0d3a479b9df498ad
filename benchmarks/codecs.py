"""Speed and size of our encoders and decoders beside those of other libraries.

    python -m benchmarks.codecs [--width 1280] [--height 720] [--rounds 3]

The image is a photo enlarged three times by Bicubic++. Everybody runs in the same process, in
alternating order; the least time of each counts, `ratio` is to Pillow's defaults and above 1 where
faster. Times are on the clock, CPU times of all cores: only ours uses more than one.
Every lossless file and every decoder is checked to give the same pixels.
Writes benchmarks/results/codecs.json.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow

from benchmarks.photo import photo
from benchmarks.stopwatch import Took, fastest
from evaluation.machine import machine
from superres.catalogue import CATALOGUE
from superres.codecs.decode import decode
from superres.codecs.encode import FORMATS, encode
from superres.image.frame import Frame, Image
from superres.inference.device import Device
from superres.model_loader import NetworkModel
from superres.weights.store import Store

RESULTS = Path(__file__).parent / "results"
QUALITY = 95
Pixels = NDArray[np.uint8]
PNG_LEVELS = (0, 1, 2, 3, 4)


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    pixels = enlarged(photo(options.width, options.height))
    tables = {
        "encode PNG": encoded(png_writers(pixels), options.rounds, pixels),
        "encode JPEG, quality 95, full colour": encoded(jpeg_writers(pixels), options.rounds),
        "encode WebP, quality 95": encoded(webp_writers(pixels), options.rounds),
        "decode JPEG": decoded(pixels, "jpeg", options.rounds),
        "decode PNG": decoded(pixels, "png", options.rounds),
    }
    for title, rows in tables.items():
        show(title, rows)
    RESULTS.mkdir(exist_ok=True)
    size = [pixels.shape[1], pixels.shape[0]]
    report = {"machine": machine(), "size": size, "tables": tables}
    (RESULTS / "codecs.json").write_text(json.dumps(report, indent=1) + "\n")


def enlarged(pixels: Pixels) -> Pixels:
    """Return `pixels` three times as large, by the embedded model."""
    spec = CATALOGUE["bicubic_pp.x3"]
    model = NetworkModel(spec, Device(torch.device("cpu")), Store.from_environment())
    made: Pixels = np.ascontiguousarray(model.upscaler().upscale(pixels).pixels)
    return made


# Contenders. OpenCV has blue first: the conversion belongs to its cost.

Writers = Mapping[str, Callable[[], bytes]]


def pillow(pixels: Pixels, name: str, **options: Any) -> bytes:
    """Return the file that Pillow writes."""
    out = BytesIO()
    Pillow.fromarray(pixels).save(out, name, **options)
    return out.getvalue()


def opencv(pixels: Pixels, ending: str, *options: int) -> bytes:
    """Return the file that OpenCV writes."""
    _, made = cv2.imencode(ending, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options)
    return made.tobytes()


def ours(pixels: Pixels, name: str, **options: Any) -> bytes:
    """Return the file that the engine writes."""
    return encode(Image((Frame(pixels),), name), FORMATS[name], **options).data


def png_writers(pixels: Pixels) -> Writers:
    """Writers of PNG files."""
    return {
        "pillow": partial(pillow, pixels, "png"),
        "pillow level 1": partial(pillow, pixels, "png", compress_level=1),
        "opencv": partial(opencv, pixels, ".png"),
        "opencv level 1": partial(opencv, pixels, ".png", cv2.IMWRITE_PNG_COMPRESSION, 1),
        "imagecodecs": partial(imagecodecs.png_encode, pixels),
        "imagecodecs level 1": partial(imagecodecs.png_encode, pixels, level=1),
        "imagecodecs spng 1": partial(imagecodecs.spng_encode, pixels, level=1),
        **{
            f"ours png_compression {level}": partial(ours, pixels, "png", png_compression=level)
            for level in PNG_LEVELS
        },
    }


def jpeg_writers(pixels: Pixels) -> Writers:
    """Writers of JPEG files of the same quality and colour resolution."""
    full = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
    return {
        "pillow": partial(pillow, pixels, "jpeg", quality=QUALITY, subsampling=0),
        "opencv": partial(opencv, pixels, ".jpg", cv2.IMWRITE_JPEG_QUALITY, QUALITY, *full),
        "imagecodecs": partial(imagecodecs.jpeg8_encode, pixels, level=QUALITY, subsampling="444"),
        "ours": partial(ours, pixels, "jpeg", quality=QUALITY),
    }


def webp_writers(pixels: Pixels) -> Writers:
    """Writers of WebP files."""
    return {
        "pillow": partial(pillow, pixels, "webp", quality=QUALITY),
        "opencv": partial(opencv, pixels, ".webp", cv2.IMWRITE_WEBP_QUALITY, QUALITY),
        "imagecodecs": partial(imagecodecs.webp_encode, pixels, level=QUALITY, lossless=False),
        "ours": partial(ours, pixels, "webp", quality=QUALITY),
    }


def readers(data: bytes, name: str) -> Mapping[str, Callable[[], Pixels]]:
    """Readers of a file."""
    read = {"jpeg": imagecodecs.jpeg8_decode, "png": imagecodecs.png_decode}[name]
    coded = np.frombuffer(data, np.uint8)
    return {
        "pillow": lambda: np.array(Pillow.open(BytesIO(data))),
        "opencv": lambda: np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR_RGB)),
        "imagecodecs": partial(read, data),
        "ours": lambda: np.asarray(decode(data).frames[0].colour),
    }


# Measuring


def encoded(writers: Writers, rounds: int, lossless: Pixels | None = None) -> list[dict[str, Any]]:
    """Return a row for each writer."""
    times = fastest(writers, rounds)
    if lossless is not None:
        for name, took in times.items():
            assert np.array_equal(np.asarray(Pillow.open(BytesIO(took.made))), lossless), name
    sizes = {name: {"megabytes": round(len(took.made) / 1e6, 2)} for name, took in times.items()}
    return [row(name, times) | sizes[name] for name in times]


def decoded(pixels: Pixels, name: str, rounds: int) -> list[dict[str, Any]]:
    """Return a row for each reader of the file that Pillow writes by default."""
    times = fastest(readers(pillow(pixels, name), name), rounds)
    for reader, took in times.items():
        assert np.array_equal(took.made, times["pillow"].made), reader
    return [row(reader, times) for reader in times]


def row(name: str, times: Mapping[str, Took]) -> dict[str, Any]:
    """Return the figures of one contender."""
    took = times[name]
    return {
        "name": name,
        "milliseconds": round(took.seconds * 1e3, 1),
        "cpu_milliseconds": round(took.cpu_seconds * 1e3, 1),
        "ratio": round(times["pillow"].seconds / took.seconds, 2),
    }


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """Print a table, the fastest first."""
    print(f"\n{title:36} {'ms':>8} {'CPU ms':>8} {'MB':>6} {'ratio':>6}")
    for made in sorted(rows, key=lambda made: float(made["milliseconds"])):
        print(
            f"{made['name']:36} {made['milliseconds']:8.1f} {made['cpu_milliseconds']:8.1f} "
            f"{made.get('megabytes', ''):>6} {made['ratio']:6.2f}"
        )


if __name__ == "__main__":
    main()
