"""How files of ESRGAN, compact, SwinIR and Swin2SR networks are laid out by those who train them.

The networks are small and random: what matters is names, wrappers and sizes.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from superres.networks.torchvision_compat import repair_torchvision

repair_torchvision()  # before basicsr is imported
State = dict[str, Tensor]


class Layout(NamedTuple):
    """A file that somebody might bring."""

    name: str
    make: Callable[[], object]  # what is saved
    suffix: str = ".pth"
    is_wanted: bool = True  # to be loaded; else refused with a sentence that helps
    complete: Callable[[], State] | None = None  # with the tables that the judge cannot do without
    side: int = 13  # of the image, where the judge does not take any


def shake(network: nn.Module) -> nn.Module:
    """Give the parameters values that let every one of them count."""
    torch.manual_seed(1)
    for name, parameter in network.named_parameters():
        norm = parameter.dim() == 1 and name.endswith("weight")
        nn.init.normal_(parameter, mean=float(norm), std=0.03)
    return network


def rrdb(scale: int = 4, blocks: int = 2, features: int = 64, growth: int = 32) -> State:
    from basicsr.archs.rrdbnet_arch import RRDBNet

    network = RRDBNet(3, 3, scale=scale, num_feat=features, num_block=blocks, num_grow_ch=growth)
    return shake(network).state_dict()


def rrdb_of(channels: int, unshuffled: int, doublings: int) -> State:
    """basicsr's names with other channels and another number of doublings."""
    from basicsr.archs.rrdbnet_arch import RRDBNet

    network = RRDBNet(unshuffled, channels, scale=4, num_feat=64, num_block=2, num_grow_ch=32)
    state = shake(network).state_dict()
    for number in range(doublings + 1, 3):
        state = {k: v for k, v in state.items() if not k.startswith(f"conv_up{number}.")}
    for number in range(3, doublings + 1):
        for kind in ("weight", "bias"):
            state[f"conv_up{number}.{kind}"] = state[f"conv_up2.{kind}"].clone() * 0.9
    return state


def first_layout(state: State) -> State:
    """Names of ESRGAN's first code: a numbered sequence."""
    blocks = 1 + max(int(key.split(".")[1]) for key in state if key.startswith("body."))
    doublings = sorted({key.split(".")[0] for key in state if key.startswith("conv_up")})
    names = {"conv_first": "model.0", "conv_body": f"model.1.sub.{blocks}"}
    names |= {name: f"model.{3 * number}" for number, name in enumerate(doublings, start=1)}
    names |= {"conv_hr": f"model.{3 * len(doublings) + 2}"}
    names |= {"conv_last": f"model.{3 * len(doublings) + 4}"}
    renamed = {}
    for key, value in state.items():
        parts = key.split(".")
        if parts[0] == "body":
            new = f"model.1.sub.{parts[1]}.RDB{parts[2][-1]}.{parts[3]}.0.{parts[4]}"
        else:
            new = f"{names[parts[0]]}.{parts[1]}"
        renamed[new] = value
    return renamed


def second_layout(state: State) -> State:
    """Names of ESRGAN's second code, which BSRGAN has too."""
    names = {"conv_body": "trunk_conv", "conv_up1": "upconv1", "conv_up2": "upconv2"}
    names |= {"conv_hr": "HRconv"}
    renamed = {}
    for key, value in state.items():
        head, _, rest = key.partition(".")
        if head == "body":
            rest = rest.replace("rdb", "RDB")
            renamed[f"RRDB_trunk.{rest}"] = value
        else:
            renamed[f"{names.get(head, head)}.{rest}"] = value
    return renamed


def compact(
    scale: int = 4, convolutions: int = 3, features: int = 64, act: str = "prelu", channels: int = 3
) -> State:
    from realesrgan.archs.srvgg_arch import SRVGGNetCompact

    network = SRVGGNetCompact(channels, channels, features, convolutions, scale, act)
    return shake(network).state_dict()


def swinir(scale: int, upsampler: str, patch: int = 64, window: int = 8, **settings: Any) -> State:
    """The publisher's names, by spandrel's own code."""
    from spandrel.architectures.SwinIR import SwinIR

    layers = settings.pop("layers", 2)
    channels = settings.pop("channels", 60)
    network = SwinIR(
        img_size=patch,
        window_size=window,
        depths=[6] * layers,
        embed_dim=channels,
        num_heads=[6] * layers,
        mlp_ratio=2,
        upscale=scale,
        upsampler=upsampler,
        **settings,
    )
    return shake(network).state_dict()


def swin2sr(scale: int, upsampler: str) -> State:
    from spandrel.architectures.Swin2SR import Swin2SR

    network = Swin2SR(
        upscale=scale,
        img_size=64,
        window_size=8,
        depths=[6, 6],
        embed_dim=60,
        num_heads=[6, 6],
        mlp_ratio=2,
        upsampler=upsampler,
    )
    return shake(network).state_dict()


def prefix(state: State, text: str) -> State:
    return {text + key: value for key, value in state.items()}


def without(state: State, *endings: str) -> State:
    return {key: value for key, value in state.items() if not key.endswith(endings)}


def cast(state: State, dtype: torch.dtype) -> State:
    return {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}


def with_other(state: State) -> State:
    """As a training with an adversary saves both."""
    return {**prefix(state, "generator."), "discriminator.0.weight": torch.zeros(4, 3, 3, 3)}


def list_layouts() -> Iterator[Layout]:
    """The layouts of files of our own architectures."""
    yield from list_wrappers()
    yield from list_rrdb_sizes()
    yield from list_compact_sizes()
    yield from list_transformers()


def list_wrappers() -> Iterator[Layout]:
    """The same network as trainers wrap it."""
    yield Layout("RRDB bare", rrdb)
    for key in (
        *("params", "params_ema", "params-ema", "state_dict", "model_state_dict"),
        *("model", "net", "generator", "network", "somebody's own word"),
    ):
        yield Layout(f"RRDB in {key}", lambda key=key: {key: rrdb()})
    yield Layout(
        "RRDB params_ema beside params", lambda: {"params": compact(), "params_ema": rrdb()}
    )
    for text in (
        "module.",
        "netG.",
        "generator.",
        "model.",
        "_orig_mod.",
        "net_g.",
        "module.netG.",
    ):
        yield Layout(f"RRDB {text} before names", lambda text=text: prefix(rrdb(), text))
    yield Layout(
        "RRDB training state",
        lambda: {"params_ema": rrdb(), "iter": 7, "optimizer": {"state": {}, "param_groups": []}},
    )
    yield Layout(
        "Lightning with a generator and hyperparameters",
        lambda: {"state_dict": with_other(rrdb()), "hyper_parameters": {"lr": 1e-4}, "epoch": 3},
        ".ckpt",
    )
    yield Layout("Lightning without a prefix", lambda: {"state_dict": rrdb(), "epoch": 3}, ".ckpt")
    for dtype in (torch.float16, torch.bfloat16):
        yield Layout(f"RRDB {dtype}", lambda dtype=dtype: cast(rrdb(), dtype))
    for name, make in (
        ("RRDB safetensors", rrdb),
        ("RRDB fp16 safetensors", lambda: cast(rrdb(), torch.float16)),
        ("RRDB params_ema. safetensors", lambda: prefix(rrdb(), "params_ema.")),
        ("RRDB module. safetensors", lambda: prefix(rrdb(), "module.")),
    ):
        yield Layout(name, make, ".safetensors")
    yield Layout("RRDB .pt", rrdb, ".pt")


def list_rrdb_sizes() -> Iterator[Layout]:
    """ESRGAN's three layouts, scales and sizes."""
    yield Layout("first layout", lambda: first_layout(rrdb()))
    for key in ("params_ema", "state_dict"):
        yield Layout(f"first layout in {key}", lambda key=key: {key: first_layout(rrdb())})
    yield Layout("first layout fp16", lambda: cast(first_layout(rrdb()), torch.float16))
    yield Layout("first layout module.", lambda: prefix(first_layout(rrdb()), "module."))
    for scale, doublings in ((1, 0), (2, 1), (8, 3)):
        yield Layout(f"first layout x{scale}", lambda d=doublings: first_layout(rrdb_of(3, 3, d)))
    yield Layout("second layout", lambda: second_layout(rrdb()))
    yield Layout("second layout in state_dict", lambda: {"state_dict": second_layout(rrdb())})
    yield Layout("RRDB 6 blocks", lambda: rrdb(blocks=6))
    yield Layout("RRDB 12 blocks", lambda: rrdb(blocks=12))
    yield Layout("RRDB 32 features, growth 16", lambda: rrdb(features=32, growth=16))
    yield Layout("RRDB x2 unshuffled", lambda: rrdb(scale=2), side=12)
    yield Layout("RRDB x1 unshuffled", lambda: rrdb(scale=1), side=12)
    yield Layout("RRDB 1 channel", lambda: rrdb_of(1, 1, 2))


def list_compact_sizes() -> Iterator[Layout]:
    for scale in (1, 2, 3, 4, 8):
        yield Layout(f"compact x{scale}", lambda scale=scale: compact(scale))
    yield Layout("compact 16 convolutions", lambda: compact(4, 16))
    yield Layout("compact 24 features", lambda: compact(2, 8, 24))
    yield Layout("compact in state_dict", lambda: {"state_dict": compact()})
    yield Layout("compact fp16", lambda: cast(compact(), torch.float16), ".safetensors")
    yield Layout("compact 1 channel", lambda: compact(4, channels=1))
    yield Layout("compact leakyrelu", lambda: compact(act="leakyrelu"), is_wanted=False)


def list_transformers() -> Iterator[Layout]:
    """SwinIR and Swin2SR."""
    yield Layout("SwinIR light x2", lambda: {"params": swinir(2, "pixelshuffledirect")})
    yield Layout(
        "SwinIR without masks",
        lambda: without(swinir(2, "pixelshuffledirect"), "attn_mask"),
        complete=lambda: swinir(2, "pixelshuffledirect"),
    )
    yield Layout(
        "SwinIR without tables",
        lambda: without(swinir(2, "pixelshuffledirect"), "relative_position_index"),
        complete=lambda: swinir(2, "pixelshuffledirect"),
    )
    yield Layout("SwinIR with masks of 48", lambda: swinir(2, "pixelshuffledirect", patch=48))
    yield Layout(
        "SwinIR fp16 module.",
        lambda: cast(prefix(swinir(2, "pixelshuffledirect"), "module."), torch.float16),
        ".safetensors",
    )
    yield Layout("SwinIR x1", lambda: swinir(1, ""))
    yield Layout("SwinIR window 16", lambda: swinir(2, "pixelshuffledirect", window=16))
    for scale in (2, 3, 4, 8):
        yield Layout(f"SwinIR classical x{scale}", lambda s=scale: swinir(s, "pixelshuffle"))
    yield Layout("SwinIR real x4", lambda: {"params_ema": swinir(4, "nearest+conv")})
    yield Layout(
        "SwinIR real x4 without masks",
        lambda: without(swinir(4, "nearest+conv"), "attn_mask"),
        complete=lambda: swinir(4, "nearest+conv"),
    )
    yield Layout("SwinIR large", lambda: swinir(4, "nearest+conv", resi_connection="3conv"))
    for scale, upsampler in (
        *((2, "pixelshuffledirect"), (2, "pixelshuffle"), (4, "pixelshuffle")),
        *((4, "nearest+conv"), (4, "pixelshuffle_aux")),
    ):
        yield Layout(
            f"Swin2SR x{scale} {upsampler}",
            lambda s=scale, u=upsampler: {"params": swin2sr(s, u)},
            side=16,  # the publisher stretches the bicubic part of other sizes
        )
    yield Layout(
        "Swin2SR without tables",
        lambda: without(
            swin2sr(2, "pixelshuffle"),
            *("attn_mask", "relative_position_index", "relative_coords_table"),
        ),
        complete=lambda: swin2sr(2, "pixelshuffle"),
    )
