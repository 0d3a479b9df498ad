"""The publisher's own ways: the network run eagerly, and Real-ESRGAN's RealESRGANer."""

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import NamedTuple

import torch

from benchmarks.peers.case import Case, Contender, Output, Run, to_floats, to_levels
from benchmarks.peers.plain import plain
from superres.model_spec import NetworkSpec
from superres.networks.torchvision_compat import repair_torchvision


def eager(case: Case) -> Run:
    """Return what a script does: the whole image, fp32 in NCHW, no gradients, rounded at
    the end.
    """
    network, scale = plain(case.spec, case.state), case.spec.scale
    height, width = case.pixels.shape[:2]

    @torch.no_grad()
    def run() -> Output:
        x = to_floats(case.pixels, case.spec.input_size.multiple_of)
        made = to_levels(network(x).numpy(), height * scale, width * scale)
        return Output(made, x.shape[2] * x.shape[3])

    return run


class Setting(NamedTuple):
    """Arguments of RealESRGANer."""

    tile: int = 0
    tile_pad: int = 10
    pre_pad: int = 10

    def computed(self, width: int, height: int) -> int:
        """Input pixels that it sends through the network for an image of this size."""
        width, height = width + self.pre_pad, height + self.pre_pad
        if not self.tile:
            return width * height
        return self.seen(width) * self.seen(height)

    def seen(self, length: int) -> int:
        """Return the sum of what its tiles see along an axis."""
        return sum(
            min(start + self.tile + self.tile_pad, length) - max(start - self.tile_pad, 0)
            for start in range(0, length, self.tile)
        )


def realesrganer(setting: Setting) -> Callable[[Case], Run]:
    """Return what makes a contender of RealESRGANer."""

    def make(case: Case) -> Run:
        repair_torchvision()
        from realesrgan import RealESRGANer

        network = plain(case.spec, case.state)
        path = case.folder / f"{case.spec.name}.pth"
        torch.save({"params": case.state}, path)
        runner = RealESRGANer(
            scale=case.spec.scale,
            model_path=str(path),
            model=network,
            half=False,
            device=torch.device("cpu"),
            **setting._asdict(),
        )
        computed = setting.computed(case.pixels.shape[1], case.pixels.shape[0])

        def run() -> Output:
            with redirect_stdout(io.StringIO()):  # it tells of every tile
                made, _ = runner.enhance(case.pixels[..., ::-1])
            return Output(made[..., ::-1], computed)

        return run

    return make


def of_realesrgan(spec: NetworkSpec) -> bool:
    """Return whether RealESRGANer is made for this model."""
    return spec.system == "realesrgan"


CONTENDERS = (
    Contender("eager", "the publisher's network, whole image, NCHW, no_grad", eager),
    *(
        Contender(f"realesrganer{name}", what, realesrganer(setting), of_realesrgan)
        for name, what, setting in (
            ("", "RealESRGANer by its defaults: continues right and below", Setting()),
            ("-cli", "RealESRGANer as its command line sets it up", Setting(pre_pad=0)),
            ("-128", "RealESRGANer in tiles of 128, else by its defaults", Setting(tile=128)),
            ("-best", "RealESRGANer, the fastest of its settings", Setting(tile=256, pre_pad=0)),
        )
    ),
)
