"""Train a Bicubic++ on pairs of images and write it as safetensors.

    python -m training.bicubic_pp --scale 3 --data FOLDER [FOLDER ...] --check SET5 --output FILE

Recipe: L1, Adam (0.9, 0.99), 200 steps of warm-up, cosine to 1e-6, gradient norm at most 1, an
exponential moving average of the weights; the last tenth of the steps with L2, which is what PSNR
measures. A checkpoint beside the output lets an interrupted run go on.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss, pad

from evaluation.protocol import bicubic, crop_to_multiple, list_images, psnr, read_rgb
from superres.networks.bicubic_pp import BicubicPPNetwork
from training.data import as_tensor, batches, pairs
from training.flat import FlatExact

RIM = 8  # the receptive radius: what the zero padding of a patch can reach


def main() -> None:
    """Train as the command line says."""
    options = arguments()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    model = FlatExact(options.scale)
    made = pairs(options.data, options.scale, (1.0, 0.8, 0.6), options.patch)
    print(f"{len(made)} pairs; start {set5(model.weights(), options):.3f} dB", flush=True)
    train(model, batches(made, options.scale, options.patch, options.batch, options.seed), options)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=int, choices=(2, 3, 4), required=True)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="training folders")
    parser.add_argument("--check", type=Path, required=True, help="evaluation folder, e.g. Set5")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--patch", type=int, default=64, help="LR pixels a side, rim included")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def train(model: FlatExact, source: object, options: argparse.Namespace) -> None:
    """Run the steps that are left, checking and saving every thousand."""
    optimizer = torch.optim.Adam(model.parameters(), lr=options.rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: rate_at(s, options))
    average = {name: value.detach().clone() for name, value in model.free.items()}
    checkpoint = options.output.with_suffix(".checkpoint")
    first = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        average, first = state["average"], state["step"]
    started = time.monotonic()
    for step in range(first + 1, options.steps + 1):
        lr, hr = next(source)  # type: ignore[call-overload]
        loss = mse_loss if step > 0.9 * options.steps else l1_loss
        rim = RIM * options.scale
        result = model(lr)[..., rim:-rim, rim:-rim]
        value = loss(result, hr[..., rim:-rim, rim:-rim])
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        decay = min(0.999, step / (step + 20))
        for name, parameter in model.free.items():
            average[name].lerp_(parameter.detach(), 1 - decay)
        if step % 1000 == 0 or step == options.steps:
            weights = averaged_weights(model, average)
            pace = (time.monotonic() - started) / (step - first)
            print(
                f"step {step} loss {value.item():.5f} PSNR {set5(weights, options):.3f} dB "
                f"{pace:.3f} s/step",
                flush=True,
            )
            save_file(weights, options.output)
            torch.save(
                {
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "schedule": schedule.state_dict(),
                    "average": average,
                    "step": step,
                },
                checkpoint,
            )


def rate_at(step: int, options: argparse.Namespace) -> float:
    """Return the learning rate at `step` as a share of the highest: warm-up, then a cosine
    to 1e-6.
    """
    floor = 1e-6 / options.rate
    warm = min(1.0, (step + 1) / 200)
    return warm * (floor + (1 - floor) * (1 + math.cos(math.pi * step / options.steps)) / 2)


@torch.no_grad()
def averaged_weights(model: FlatExact, average: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the plain network's weights for the averaged parameters."""
    copy = FlatExact(model.scale)
    for name, value in average.items():
        copy.free[name].copy_(value)
    return {name: value.contiguous() for name, value in copy.weights().items()}


@torch.no_grad()
def set5(weights: dict[str, Tensor], options: argparse.Namespace) -> float:
    """Mean PSNR over the images of the `--check` folder, by the papers' protocol."""
    scale = options.scale
    network = BicubicPPNetwork(scale)
    network.load_state_dict(weights)
    values = []
    for path in list_images(options.check):
        hr = crop_to_multiple(read_rgb(path), scale)
        height, width = hr.shape[0] // scale, hr.shape[1] // scale
        lr = as_tensor(bicubic(hr, width, height)[None])
        padded = pad(lr, (RIM, RIM + width % 2, RIM, RIM + height % 2), mode="replicate")
        out = network(padded)[0, :, RIM * scale :, RIM * scale :][:, : hr.shape[0], : hr.shape[1]]
        pixels = out.mul(255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
        values.append(psnr(pixels, hr, scale))
    return float(np.mean(values))


if __name__ == "__main__":
    main()
