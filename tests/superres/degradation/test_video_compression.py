"""Video compression as a step; every codec, sizes that no codec divides, and more damage by more
quantization.
"""

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut

from superres.degradation.steps import Context
from superres.degradation.video_compression import CompressVideo

pytest.importorskip("av", reason="requirements-video.txt is optional")

PHOTO: NDArray[np.float32] = astronaut()[:61, 150:247].astype(np.float32) / 255


def compress(step: CompressVideo, seed: int = 1) -> tuple[NDArray[np.float32], dict[str, object]]:
    context = Context((61, 97), np.random.default_rng(seed))
    image, (record,) = step.apply(PHOTO, context)
    return image, record


@pytest.mark.parametrize("codec", ["h264", "mpeg4"])
@pytest.mark.parametrize("frames", [1, 4])
def test_the_image_comes_back_in_its_place(codec: str, frames: int) -> None:
    step = CompressVideo(codecs=(codec,), frames=(frames, frames))  # type: ignore[arg-type]
    made, record = compress(step)
    again, _ = compress(step)
    assert (record["codec"], record["frames"]) == (codec, frames)
    assert made.shape == PHOTO.shape
    assert made.dtype == np.float32
    assert (made == again).all()
    error = np.sqrt(np.mean((made - PHOTO) ** 2))
    assert 0.005 < error < 0.08  # it is damaged, but neither moved nor of other colours
    moved = np.sqrt(np.mean((made[:, 2:] - PHOTO[:, :-2]) ** 2))
    assert moved > error


def test_a_coarser_quantizer_does_more_damage() -> None:
    errors = {}
    for seed in range(12):
        made, record = compress(CompressVideo(codecs=("h264",), frames=(2, 2)), seed)
        errors[record["quantizer"]] = float(np.mean((made - PHOTO) ** 2))
    ordered = [errors[quantizer] for quantizer in sorted(errors)]  # type: ignore[type-var]
    assert np.corrcoef(ordered, range(len(ordered)))[0, 1] > 0.8
