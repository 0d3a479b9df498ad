import functools
import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from contract.options import REQUEST_OPTIONS, SAMPLING_OPTIONS
from superres.diffusion.blending import make_blend_tiles
from superres.diffusion.colour import keep_colours
from superres.diffusion.denoiser import MAX_PIXELS, UNET_BYTES, VAE_BYTES
from superres.diffusion.files import (
    HALF,
    HUB_ID,
    NAME,
    PARTS,
    SETTINGS,
    SINGLE,
    Release,
    list_missing_files,
    read_weight_map,
)
from superres.diffusion.model import DiffusionModel
from superres.diffusion.options import read_sampling
from superres.diffusion.spec import SPEC
from superres.diffusion.upscaler import draw_noise
from superres.errors import (
    BadOption,
    Cancelled,
    Failed,
    OutOfMemory,
    TooLarge,
    WeightsCorrupt,
    WeightsMismatch,
    WeightsMissing,
)
from superres.geometry import Size
from superres.image.frame import Frame, Image
from superres.inference.device import Device, Precision
from superres.model_spec import Weights
from superres.pipeline import OutputOptions, upscale
from superres.request_options import read_option
from superres.weights.store import Store
from tests.superres.diffusion.published_diffusion import most_bytes, published_networks
from tests.superres.diffusion.tiny_diffusion import publish, single_file, tiny_pipeline
from tests.superres.weights.publisher import HASTE

CPU = torch.device("cpu")
NUMBERS = {
    name: REQUEST_OPTIONS[name] for name in ("steps", "guidance_scale", "noise_level", "seed")
}
QUICK = {"steps": 2, "seed": 7, "prompt": "cat"}
Pixels = np.ndarray[Any, Any]


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the tiny pipeline, laid out as the publisher has them."""
    folder = tmp_path_factory.mktemp("diffusion")
    return publish(tiny_pipeline(folder / "made"), folder / "published")


def loaded(
    folder: Path | None,
    store: Store,
    memory: int | None = 2**31,
    precision: Precision = "auto",
    **options: Any,
) -> DiffusionModel:
    return DiffusionModel(SPEC, Device(CPU, precision, memory), store, folder, **options)


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store without files that stays offline."""
    return Store(tmp_path_factory.mktemp("cache"), True, (), patience=HASTE)


@pytest.fixture(scope="session")
def model(published: Path, empty: Store) -> DiffusionModel:
    return loaded(published, empty)


@pytest.fixture
def copied(published: Path, tmp_path: Path) -> Path:
    """The published files, to be spoilt."""
    return Path(shutil.copytree(published, tmp_path / NAME))


def picture(width: int, height: int, channels: int = 3, dtype: Any = np.uint8) -> Pixels:
    most = np.iinfo(dtype).max
    made: Pixels = np.random.default_rng(3).integers(0, most + 1, (height, width, channels), dtype)
    return made


def made(model: DiffusionModel, pixels: Pixels, tile: int = 0, **options: Any) -> Pixels:
    return model.upscaler(**{**QUICK, **options}).upscale(pixels, tile).pixels


# --- the picture


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


# --- progress and cancelling


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


# --- limits


def refused(model: DiffusionModel, pixels: Pixels, tile: int = 0) -> TooLarge:
    seen: list[int] = []
    with pytest.raises(TooLarge) as caught:
        model.upscaler(**QUICK).upscale(pixels, tile, progress=lambda done, _: seen.append(done))
    assert not seen, "refused only after work was done"
    return caught.value


def test_what_cannot_fit_is_refused_before_the_first_step_with_both_numbers(
    published: Path, empty: Store
) -> None:
    little = loaded(published, empty, memory=50 << 20)
    error = refused(little, picture(64, 64))
    assert error.code == "MEMORY"
    assert "64x64 pixels need about 95 MB" in str(error)
    assert "50 MB are allowed (memory_limit_mb)" in str(error)
    assert refused(loaded(published, empty), picture(400, 300), tile=400).code == "MEMORY"


def test_a_picture_of_too_many_pixels_is_refused(published: Path, empty: Store) -> None:
    small = loaded(published, empty, max_pixels=100)
    assert made(small, picture(10, 10)).shape == (40, 40, 3)
    error = refused(small, picture(101, 1))
    assert error.code == "PIXELS"
    assert "101x1 is 101 pixels: at most 100 are allowed" in str(error)


def test_the_largest_picture_fits_where_the_operator_allows_two_gigabytes(
    model: DiffusionModel,
) -> None:
    assert model.plan(Size(1024, 1024), 0, None).is_one_call
    assert MAX_PIXELS == 1024 * 1024


def test_tiles_become_smaller_only_as_a_last_resort(published: Path, empty: Store) -> None:
    size = Size(256, 256)
    edges = {
        memory: loaded(published, empty, memory=memory << 20).plan(size, 0, None)
        for memory in (2048, 500, 200)
    }
    assert edges[2048].is_one_call and len(edges[2048].tiles) == len(edges[2048].decoder_tiles)
    assert not edges[500].is_one_call and len(edges[500].tiles) == len(edges[2048].tiles)
    assert len(edges[200].tiles) > len(edges[500].tiles)


def test_running_out_of_memory_leads_to_a_smaller_plan(published: Path, empty: Store) -> None:
    short = loaded(published, empty)
    expected = made(loaded(published, empty), picture(40, 40))

    def exhausted(_: Any, args: tuple[torch.Tensor, ...]) -> None:
        if len(args[0]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    short.parts.unet.register_forward_pre_hook(exhausted)
    result = made(short, picture(40, 40))
    assert np.abs(result.astype(int) - expected).mean() < 5


def test_running_out_of_memory_for_good_is_said(published: Path, empty: Store) -> None:
    short = loaded(published, empty)

    def exhausted(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    short.parts.unet.register_forward_pre_hook(exhausted)
    with pytest.raises(OutOfMemory, match="40x40 pixels, about 95 MB, do not fit"):
        made(short, picture(40, 40))


@pytest.mark.slow
def test_the_estimates_cover_all_tensors_that_live_at_once_in_the_published_networks() -> None:
    with published_networks() as (unet, vae):
        x, texts = torch.empty(2, 7, 128, 128), torch.empty(2, 77, 1024)
        labels = torch.zeros(2, dtype=torch.long)
        step = most_bytes(
            unet, x, torch.tensor(10), encoder_hidden_states=texts, class_labels=labels
        )
        decoded = most_bytes(vae.decoder, torch.empty(1, 4, 128, 128))
    assert 1.1 * step < UNET_BYTES * 2 * 128**2 < 1.4 * step
    assert 1.1 * decoded < VAE_BYTES * 128**2 < 1.4 * decoded


# --- numbers that are not finite


def spoilt(folder: Path, factor: float) -> None:
    """The last layer's values times `factor`."""
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    state["conv_out.weight"] = state["conv_out.weight"] * factor
    save_file(state, file, {"format": "pt"})


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


# --- options


def test_the_defaults_are_the_publishers() -> None:
    asked = read_sampling({})
    assert (asked.steps, asked.guidance_scale, asked.noise_level) == (75, 9.0, 20)
    assert (asked.prompt, asked.negative_prompt) == ("", "")
    assert set(SAMPLING_OPTIONS) == {
        "prompt", "negative_prompt", "steps", "guidance_scale", "noise_level", "seed"
    }  # fmt: skip


def test_the_estimate_takes_all_memory_for_activations(model: DiffusionModel) -> None:
    cost = model.estimate(Size(64, 64))
    assert cost.host_bytes > 64 * 64 * 500 and cost.device_bytes == model.target.memory
    assert cost.seconds > 10


def test_a_seed_that_was_not_given_is_random_and_reported(model: DiffusionModel) -> None:
    first, second = model.upscaler(steps=1), model.upscaler(steps=1)
    assert first.report["seed"] != second.report["seed"]
    again = model.upscaler(steps=1, seed=first.report["seed"])
    assert np.array_equal(first.upscale(picture(6, 6)).pixels, again.upscale(picture(6, 6)).pixels)


def test_a_seed_that_a_float_would_round_is_reported_as_text() -> None:
    most = 2**63 - 1
    assert read_sampling({"seed": str(most)}).report["seed"] == str(most)
    assert read_sampling({"seed": str(most)}).seed == most
    assert read_sampling({"seed": float(2**53)}).report["seed"] == 2**53


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("steps", 1, 1),
        ("steps", 150.0, 150),
        ("steps", " 20 ", 20),
        ("steps", "2e1", 20),
        ("guidance_scale", 0, 0.0),
        ("guidance_scale", "30", 30.0),
        ("guidance_scale", ".5", 0.5),
        ("noise_level", 350, 350),
        ("seed", 0, 0),
        ("prompt", "", ""),
        ("prompt", "x" * 1000, "x" * 1000),
    ],
)
def test_allowed_values_are_read_in_every_form_that_the_wire_has(
    name: str, value: Any, expected: Any
) -> None:
    result = read_option(name, value)
    assert result == expected and type(result) is type(expected)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, bounds.minimum - 1) for name, bounds in NUMBERS.items()),
        *((name, bounds.maximum + 1) for name, bounds in NUMBERS.items()),
        *(
            (name, wrong)
            for name in NUMBERS
            for wrong in (True, "", "abc", "1_0", "١", [1], "1" * 33)
        ),
        *((name, float(wrong)) for name in NUMBERS for wrong in ("nan", "inf", "-inf")),
        ("steps", 1.5),
        ("noise_level", "20.5"),
        ("seed", 2.0**60),
        ("prompt", 5),
        ("prompt", None),
        ("negative_prompt", "x" * 1001),
        ("eta", 0),
    ],
)
def test_other_values_are_refused_with_option_value_and_what_is_allowed(
    name: str, value: Any
) -> None:
    with pytest.raises(BadOption) as caught:
        read_option(name, value)
    assert caught.value.option == name and caught.value.allowed
    assert str(caught.value).startswith(f"{name} ")


def test_a_prompt_longer_than_the_text_encoder_reads_is_refused(model: DiffusionModel) -> None:
    assert model.upscaler(prompt=" ".join(["cat"] * 75)).sampling.prompt
    with pytest.raises(BadOption, match=r"at most 75 tokens \(about 56 words\), not 76"):
        model.upscaler(prompt=" ".join(["cat"] * 76))
    with pytest.raises(BadOption) as caught:
        model.upscaler(negative_prompt=" ".join(["dog"] * 76))
    assert caught.value.option == "negative_prompt"


def test_the_noise_level_is_also_limited_by_the_model(copied: Path, empty: Store) -> None:
    model = loaded(copied, empty)
    model.parts.register_to_config(max_noise_level=100)
    with pytest.raises(BadOption, match="noise_level 101: expected a whole number from 0 to 100"):
        model.upscaler(noise_level=101)


# --- files


def test_a_folder_that_lacks_files_is_refused_with_all_their_names(
    copied: Path, empty: Store
) -> None:
    lost = ["unet/config.json", "vae/diffusion_pytorch_model.safetensors", "tokenizer/merges.txt"]
    for name in lost:
        (copied / name).unlink()
    with pytest.raises(WeightsMissing) as caught:
        loaded(copied, empty)
    for name in (*lost, str(copied), "https://huggingface.co/stabilityai/"):
        assert name in str(caught.value)
    assert "text_encoder" not in str(caught.value)


@pytest.mark.parametrize("explicit", [None, Path(HUB_ID)])
def test_an_empty_cache_offline_names_every_file_where_from_and_the_folder(
    empty: Store, explicit: Path | None
) -> None:
    with pytest.raises(WeightsMissing) as caught:
        loaded(explicit, empty)
    message = str(caught.value)
    assert message.startswith("offline: model_index.json, ")
    for name in ("unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"):
        assert name in message
    assert str(empty.cache() / NAME) in message and "https://huggingface.co/" in message


def test_half_precision_asks_for_the_half_files(empty: Store) -> None:
    with pytest.raises(WeightsMissing, match=r"unet/diffusion_pytorch_model\.fp16\.safetensors"):
        loaded(None, empty, precision="fp16")


def test_a_path_that_is_nothing_is_refused(empty: Store, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="no such folder or safetensors file"):
        loaded(tmp_path / "x4.ckpt", empty)


def test_the_files_are_found_in_the_operators_folders_and_in_the_cache(
    copied: Path, empty: Store, tmp_path: Path
) -> None:
    for store in (Store(tmp_path / "none", True, (tmp_path,)), Store(tmp_path, True)):
        assert made(loaded(None, store), picture(3, 3)).shape == (12, 12, 3)


def test_half_files_alone_serve_full_precision(copied: Path, empty: Store) -> None:
    for name, part in PARTS.items():
        if part.weights:
            full = copied / name / f"{part.weights}.safetensors"
            state = {key: value.half() for key, value in load_file(full).items()}
            save_file(state, full.with_suffix(".fp16.safetensors"), {"format": "pt"})
            full.unlink()
    model = loaded(copied, empty)
    assert model.parts.unet.dtype == model.parts.text_encoder.dtype == torch.float32
    assert made(model, picture(3, 3)).shape == (12, 12, 3)


def split(folder: Path) -> Path:
    """Cut the network's file in two with an index, as large ones are published; the index."""
    whole = folder / "diffusion_pytorch_model.safetensors"
    state = load_file(whole)
    names = sorted(state)
    files = [f"diffusion_pytorch_model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    halves = [names[: len(names) // 2], names[len(names) // 2 :]]
    for file, keys in zip(files, halves, strict=True):
        save_file({key: state[key] for key in keys}, folder / file, {"format": "pt"})
    whole.unlink()
    index = folder / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(
        json.dumps(
            {
                "metadata": {"total_size": sum(v.nbytes for v in state.values())},
                "weight_map": {
                    key: file for file, keys in zip(files, halves, strict=True) for key in keys
                },
            }
        )
    )
    return index


def test_split_weights_are_read_by_their_index(
    copied: Path, empty: Store, model: DiffusionModel
) -> None:
    index = split(copied / "unet")
    assert len(set(read_weight_map(index).values())) == 2
    assert np.array_equal(made(loaded(copied, empty), picture(5, 5)), made(model, picture(5, 5)))


def test_a_missing_piece_of_split_weights_is_named(copied: Path) -> None:
    index = split(copied / "unet")
    lost = sorted(set(read_weight_map(index).values()))[1]
    (index.parent / lost).unlink()
    assert list_missing_files(copied) == [f"unet/{lost}"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "no JSON object"),
        ("{}", 'has no "weight_map"'),
        ('{"weight_map": {"a": "../../b.safetensors"}}', "expected a file beside it"),
        ('{"weight_map": {"a": 5}}', "expected a file beside it"),
    ],
)
def test_an_index_that_is_none_is_refused(copied: Path, content: str, expected: str) -> None:
    index = split(copied / "unet")
    index.write_text(content)
    with pytest.raises(WeightsCorrupt, match=expected):
        list_missing_files(copied)


def test_split_weights_shorter_than_their_index_promises_are_refused(
    copied: Path, empty: Store
) -> None:
    index = split(copied / "unet")
    content = json.loads(index.read_text())
    content["metadata"]["total_size"] = 10**9
    index.write_text(json.dumps(content))
    with pytest.raises(WeightsCorrupt, match="promises 1000000000 bytes"):
        loaded(copied, empty)


@pytest.mark.parametrize(
    ("name", "entry", "expected"),
    [
        ("_class_name", "StableDiffusionPipeline", '_class_name "StableDiffusionPipeline"'),
        ("unet", ["diffusers", "UNet3DConditionModel"], 'unet "UNet3DConditionModel"'),
        ("scheduler", ["my_code", "Evil"], 'scheduler "Evil", expected DDIMScheduler'),
        ("vae", None, "vae None, expected .library, class."),
    ],
)
def test_an_index_of_another_pipeline_is_refused(
    copied: Path, empty: Store, name: str, entry: Any, expected: str
) -> None:
    index = copied / "model_index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), name: entry}))
    with pytest.raises(WeightsMismatch, match=expected):
        loaded(copied, empty)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_file_that_lacks_values_is_refused_rather_than_filled_at_random(
    copied: Path, empty: Store, part: str
) -> None:
    file = copied / part / f"{PARTS[part].weights}.safetensors"
    state = load_file(file)
    state.pop(sorted(state)[0])
    save_file(state, file, {"format": "pt"})
    with pytest.raises(WeightsMismatch, match="missing"):
        loaded(copied, empty)


@pytest.mark.parametrize("prefix", ["", "text_model."])
def test_the_text_encoder_is_read_under_the_names_of_either_transformers(
    copied: Path, empty: Store, model: DiffusionModel, prefix: str
) -> None:
    file = copied / "text_encoder" / "model.safetensors"
    state = {
        prefix + key.removeprefix("text_model."): value for key, value in load_file(file).items()
    }
    save_file(state, file, {"format": "pt"})
    assert np.array_equal(made(loaded(copied, empty), picture(5, 5)), made(model, picture(5, 5)))


def test_values_of_another_shape_are_refused(copied: Path, empty: Store) -> None:
    file = copied / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    state["conv_in.weight"] = state["conv_in.weight"][:4].contiguous()
    save_file(state, file, {"format": "pt"})
    with pytest.raises(WeightsMismatch, match=str(copied)):
        loaded(copied, empty)


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html>", b"version https://git-lfs", None])
def test_a_broken_weights_file_is_named(copied: Path, empty: Store, content: bytes | None) -> None:
    file = copied / "vae" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-7] if content is None else content)
    with pytest.raises(WeightsCorrupt, match=r"vae/diffusion_pytorch_model\.safetensors"):
        loaded(copied, empty)


def test_other_networks_of_the_family_are_refused(copied: Path, empty: Store) -> None:
    config = copied / "vae" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "latent_channels": 3}))
    with pytest.raises(WeightsMismatch):
        loaded(copied, empty)


# --- the single file


@pytest.fixture
def single(copied: Path, model: DiffusionModel) -> Path:
    """The publisher's other layout: one file, beside the settings."""
    for name, part in PARTS.items():
        if part.weights:
            (copied / name / f"{part.weights}.safetensors").unlink()
    path = copied / SINGLE.file
    save_file(single_file(model.parts), path)
    return path


def test_the_single_file_makes_the_same_picture(
    single: Path, empty: Store, model: DiffusionModel
) -> None:
    assert np.array_equal(made(loaded(single, empty), picture(9, 9)), made(model, picture(9, 9)))


def test_the_single_file_under_its_publishers_name_must_have_the_published_hash(
    single: Path, empty: Store
) -> None:
    with pytest.raises(WeightsCorrupt, match="expected 3531269371 with sha256 35c01d61"):
        loaded(single.parent, empty)


@pytest.mark.parametrize("prefix", ["cond_stage_model.", "first_stage_model.", "model."])
def test_a_single_file_that_lacks_a_network_is_refused(
    single: Path, empty: Store, prefix: str
) -> None:
    state = {key: value for key, value in load_file(single).items() if not key.startswith(prefix)}
    other = single.with_name("other.safetensors")
    save_file(state, other)
    with pytest.raises((WeightsMismatch, WeightsCorrupt), match=r"does not fit|cannot be read"):
        loaded(other, empty)


def test_a_single_file_without_settings_names_them(
    single: Path, empty: Store, tmp_path: Path
) -> None:
    alone = tmp_path / "alone" / "x4.safetensors"
    alone.parent.mkdir()
    single.rename(alone)
    with pytest.raises(WeightsMissing) as caught:
        loaded(alone, empty)
    assert "tokenizer/vocab.json" in str(caught.value)
    assert "diffusion_pytorch_model" not in str(caught.value)


# --- the publisher


@pytest.fixture
def hub(published: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that has the published files."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    handler = functools.partial(QuietHandler, directory=str(published))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def offered(weights: tuple[Weights, ...], address: str) -> tuple[Weights, ...]:
    return tuple(
        replace(w, url=f"{address}/{w.file.removeprefix(f'{NAME}/')}", size=None) for w in weights
    )


def test_what_is_missing_is_downloaded_once_and_used_offline_later(
    hub: str, tmp_path: Path, model: DiffusionModel
) -> None:
    release = Release(offered(SETTINGS, hub), offered(Release().full, hub))
    spec = replace(SPEC, release=release)
    for offline in (False, True):
        store = Store(tmp_path, offline, (), patience=HASTE)
        got = DiffusionModel(spec, Device(CPU, memory=2**31), store)
    assert np.array_equal(made(got, picture(5, 5)), made(model, picture(5, 5)))


def test_a_publisher_that_lacks_a_file_is_told_of(hub: str, tmp_path: Path) -> None:
    release = Release(offered(SETTINGS, hub), half=offered(HALF, hub))
    store = Store(tmp_path, False, (), patience=HASTE)
    with pytest.raises(WeightsMissing, match=r"model\.fp16\.safetensors"):
        DiffusionModel(replace(SPEC, release=release), Device(CPU, "fp16"), store)


def test_the_release_names_the_publishers_files() -> None:
    names = [w.file.removeprefix(f"{NAME}/") for w in (*SETTINGS, *HALF)]
    assert names == [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "low_res_scheduler/scheduler_config.json",
        "tokenizer/tokenizer_config.json",
        "tokenizer/special_tokens_map.json",
        "tokenizer/vocab.json",
        "tokenizer/merges.txt",
        "text_encoder/config.json",
        "unet/config.json",
        "vae/config.json",
        "text_encoder/model.fp16.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.fp16.safetensors",
    ]
    assert sum(w.size or 0 for w in HALF) == 1_738_374_222
    assert HALF[1].url == (
        "https://huggingface.co/stabilityai/stable-diffusion-x4-upscaler/resolve/"
        "572c99286543a273bfd17fac263db5a77be12c4c/"
        "unet/diffusion_pytorch_model.fp16.safetensors"
    )
