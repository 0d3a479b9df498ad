import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from superres.diffusion.blending import make_blend_tiles
from superres.diffusion.colour import keep_colours
from superres.diffusion.model import DiffusionModel
from superres.diffusion.options import read_sampling
from superres.diffusion.upscaler import draw_noise
from superres.errors import Cancelled, Failed
from superres.geometry import Size
from superres.image.frame import Frame, Image
from superres.pipeline import OutputOptions, upscale
from superres.weights.store import Store
from tests.superres.diffusion.models import QUICK, Pixels, loaded, made, picture, spoilt


@pytest.mark.parametrize(
    ("width", "height", "channels", "dtype"),
    [
        (1, 1, 3, np.uint8),
        (7, 5, 1, np.uint8),
        (7, 5, 3, np.uint16),
        (40, 33, 1, np.uint16),
        (150, 70, 3, np.uint8),
    ],
)
def test_a_picture_of_any_size_becomes_exactly_four_times_as_large(
    model: DiffusionModel, width: int, height: int, channels: int, dtype: Any
) -> None:
    result = model.upscaler(**QUICK).upscale(picture(width, height, channels, dtype), tile=64)
    assert result.pixels.shape == (4 * height, 4 * width, channels)
    assert result.pixels.dtype == dtype
    assert result.cost.tiles == (8 if width > 64 else 1)
    assert result.cost.seconds > 0 and result.cost.redone == 0


@pytest.mark.parametrize(
    "options",
    [
        {"prompt": "cat dog", "negative_prompt": "bird", "guidance_scale": 9.0, "noise_level": 20},
        {"prompt": "cat", "guidance_scale": 1.0, "noise_level": 0},
        {"prompt": "", "guidance_scale": 3.5, "noise_level": 350},
    ],
)
def test_a_picture_of_one_tile_is_what_diffusers_makes_of_the_same_seed(
    published: Path, empty: Store, options: dict[str, Any]
) -> None:
    model = loaded(published, empty, keep_colours=False)
    pixels = picture(64, 64, dtype=np.uint16)
    ours = made(model, pixels, steps=2, seed=11, **options) / 65535
    x = torch.from_numpy(pixels.astype(np.float32) / 65535).permute(2, 0, 1)[None]
    # diffusers draws the noise of the input first, then that of the latents, as we do.
    theirs = model.parts(
        **options,
        image=x,
        num_inference_steps=2,
        generator=torch.Generator().manual_seed(11),
        output_type="np",
    ).images[0]
    assert theirs.std() > 0.05
    assert np.abs(ours - theirs).max() < 1e-4


def test_the_noise_is_drawn_in_the_order_of_diffusers() -> None:
    low, latents = draw_noise(Size(8, 16), 5, 3, 4)
    generator = torch.Generator().manual_seed(5)
    assert torch.equal(low, torch.randn(1, 3, 16, 8, generator=generator))
    assert torch.equal(latents, torch.randn(1, 4, 16, 8, generator=generator))


def test_the_same_seed_gives_the_same_picture_and_another_seed_another(
    model: DiffusionModel,
) -> None:
    pixels = picture(70, 20)
    first = made(model, pixels, tile=64)
    assert np.array_equal(first, made(model, pixels, tile=64))
    assert not np.array_equal(first, made(model, pixels, tile=64, seed=8))


def test_every_option_changes_the_picture(model: DiffusionModel) -> None:
    pixels = picture(20, 20)
    plain = made(model, pixels, prompt="dog", steps=1)
    changes: list[dict[str, Any]] = [
        {"prompt": "cat"},
        {"negative_prompt": "cat"},
        {"steps": 2},
        {"guidance_scale": 4},
        {"noise_level": 200},
    ]
    for change in changes:
        changed = made(model, pixels, **{"prompt": "dog", "steps": 1, **change})
        assert not np.array_equal(plain, changed), change


def test_both_halves_of_the_guidance_may_be_computed_apart(
    published: Path, empty: Store, model: DiffusionModel
) -> None:
    little = loaded(published, empty, memory=110 << 20)
    pixels = picture(64, 64, dtype=np.uint16)
    plan = little.plan(Size(64, 64), 0, None)
    assert not plan.is_one_call
    # The decoder's tile is smaller too, so only the colours of areas are compared.
    difference = made(little, pixels).astype(float) - made(model, pixels)
    assert np.abs(difference.reshape(16, 16, 16, 16, 3).mean((1, 3))).max() < 0.03 * 65535


def test_grey_stays_grey_and_equals_its_picture_of_three_equal_channels(
    model: DiffusionModel,
) -> None:
    grey = picture(20, 12, 1)
    coloured = made(model, np.repeat(grey, 3, axis=2))
    mean = coloured.astype(float).mean(2, keepdims=True)
    # Peaks beyond black and white are cut off before that mean and after ours.
    assert np.median(np.abs(made(model, grey) - mean)) < 0.7


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 0, 255)])
def test_a_flat_patch_keeps_its_hue(model: DiffusionModel, colour: tuple[int, int, int]) -> None:
    flat = np.broadcast_to(np.array(colour, np.uint8), (24, 24, 3)).copy()
    mean = made(model, flat).astype(float).mean((0, 1))
    # Random weights make wild textures, whose peaks are cut off beyond black and white.
    assert [round(value / 255) for value in mean] == [round(value / 255) for value in colour]


def test_areas_take_the_colour_of_the_source_and_details_stay() -> None:
    source = torch.full((3, 64, 64), 0.5)
    detail = torch.arange(256).remainder(2).sub(0.5).mul(0.2).expand(3, 256, 256)
    shifted = detail + torch.tensor([0.3, 0.5, 0.6])[:, None, None]
    keep_colours(shifted, source)
    assert torch.allclose(shifted, detail + 0.5, atol=1e-4)


def test_only_pixels_that_tiles_share_are_blended() -> None:
    first, second = make_blend_tiles(Size(224, 64), 128, 16, 8)
    assert (first.box.right, second.box.left) == (128, 96)
    assert first.row[:96].eq(1).all() and second.row[32:].eq(1).all()
    assert first.row[96:].diff().lt(0).all() and first.row[-1] < 0.05


def test_tiles_leave_no_seam_and_hardly_change_the_picture(model: DiffusionModel) -> None:
    across, down = np.meshgrid(np.arange(96), np.arange(16))
    smooth = np.stack([across * 2, down * 15, across + down], axis=2).astype(np.uint8)
    whole = made(model, smooth, tile=96).astype(float)
    tiled = made(model, smooth, tile=64).astype(float)
    assert len(model.plan(Size(96, 16), 64, None).tiles) == 2
    assert np.abs(tiled - whole).mean() < 5
    # The second tile begins at column 128 and the first ends at column 256.
    steps = [np.abs(np.diff(pixels, axis=1)).mean((0, 2)) for pixels in (tiled, whole)]
    for end in (127, 255):
        ratio = steps[0][end - 8 : end + 8] / steps[1][end - 8 : end + 8]
        assert ratio.max() < 1.2 * np.median(ratio)


def test_guidance_that_leads_nowhere_is_not_computed() -> None:
    assert not read_sampling({}).guided
    assert not read_sampling({"prompt": "cat", "guidance_scale": 1}).guided
    assert not read_sampling({"prompt": "cat", "negative_prompt": "cat"}).guided
    assert read_sampling({"prompt": "cat"}).guided
    assert read_sampling({"negative_prompt": "cat"}).guided


@given(st.integers(1, 40), st.integers(1, 40), st.integers(8, 200), st.integers(0, 40))
@settings(max_examples=25)
def test_the_weights_of_all_patches_sum_to_one_everywhere(
    columns: int, rows: int, edge: int, overlap: int
) -> None:
    size = Size(8 * columns, 8 * rows)
    total = torch.zeros(size.height, size.width)
    for patch in make_blend_tiles(size, edge, overlap, 8):
        assert patch.weight.shape == (patch.box.size.height, patch.box.size.width)
        assert patch.box.left % 8 == patch.box.top % 8 == 0
        patch.add(torch.ones(patch.weight.shape), total)
    assert torch.allclose(total, torch.ones_like(total), atol=1e-5)


def test_the_pipeline_from_pixels_to_a_file_takes_this_upscaler(model: DiffusionModel) -> None:
    image = Image((Frame(picture(10, 8)),), format="png")
    answer = upscale(image, model.upscaler(**QUICK), OutputOptions())
    assert answer.output_size == Size(40, 32)
    assert answer.encoded.format == "png"


def test_progress_counts_every_call_of_every_step(model: DiffusionModel) -> None:
    seen: list[tuple[int, int]] = []
    model.upscaler(**QUICK).upscale(
        picture(150, 40), 64, progress=lambda *counts: seen.append(counts)
    )
    tiles = 4
    assert seen == [(done, 3 * tiles) for done in range(1, 3 * tiles + 1)]


def test_a_request_that_nobody_waits_for_ends_after_one_call(
    model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    model.parts.unet.register_forward_pre_hook(hook := lambda *_: calls.append(1))
    try:
        with pytest.raises(Cancelled):
            model.upscaler(**QUICK, guidance_scale=1).upscale(picture(150, 40), 64, progress=gone)
    finally:
        model.parts.unet._forward_pre_hooks.clear()
    assert hook and len(calls) == 1
    assert made(model, picture(5, 5)).shape == (20, 20, 3)


def gone(done: int, total: int) -> None:
    raise Cancelled("the caller has gone")


def test_requests_side_by_side_do_not_disturb_each_other(model: DiffusionModel) -> None:
    jobs = [
        (picture(20 + 30 * n, 20), {"steps": 1, "seed": n, "prompt": "cat" * n}) for n in range(3)
    ]
    expected = [made(model, pixels, **options) for pixels, options in jobs]
    results: dict[int, Pixels] = {}

    def work(number: int) -> None:
        pixels, options = jobs[number]
        results[number] = made(model, pixels, **options)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, pixels in enumerate(expected):
        assert np.array_equal(results[number], pixels)


def test_a_result_that_is_not_finite_is_an_error_never_a_black_picture(
    copied: Path, empty: Store
) -> None:
    spoilt(copied, float("nan"))
    with pytest.raises(Failed) as caught:
        made(loaded(copied, empty), picture(8, 8))
    assert caught.value.code == "NON_FINITE"


def test_what_overflows_in_half_precision_is_computed_again_in_full(
    copied: Path, empty: Store
) -> None:
    spoilt(copied, 2e5)
    half = loaded(copied, empty, precision="fp16")
    result = half.upscaler(**QUICK, guidance_scale=1).upscale(picture(8, 8))
    assert result.cost.redone == 2
    assert next(half.parts.unet.parameters()).dtype == torch.float16


def test_half_precision_leaves_the_decoder_in_full(published: Path, empty: Store) -> None:
    half = loaded(published, empty, precision="fp16")
    assert half.parts.vae.dtype == torch.float32
    full = made(loaded(published, empty), picture(16, 16))
    assert np.abs(made(half, picture(16, 16)).astype(int) - full).mean() < 4


def test_attention_runs_through_the_fused_kernels(model: DiffusionModel) -> None:
    processors = [
        *model.parts.unet.attn_processors.values(),
        *model.parts.vae.attn_processors.values(),
    ]
    assert {type(processor).__name__ for processor in processors} == {"AttnProcessor2_0"}
    assert model.parts.text_encoder.config._attn_implementation == "sdpa"
