"""The state dict of a network among what trainers save with it."""

from collections.abc import Iterator, Mapping

from torch import Tensor

from superres.model_spec import StateDict

# Where a checkpoint may hold the network, the averaged weights before those of the last step.
_WRAPPERS = (
    "params_ema",
    "params-ema",
    "model_ema",
    "ema",
    "params",
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "net_g",
    "netG",
    "network",
    "generator",
    "weights",
)
# What a trainer puts before every name, outermost first; never "model.", which ESRGAN's own names
# begin with, unless what follows is no number.
_PREFIXES = (
    "params_ema.",
    "params-ema.",
    "net_g_ema.",
    "ema_model.",
    "ema.",
    "params.",
    "state_dict.",
    "_orig_mod.",
    "module.",
    "generator.",
    "netG.",
    "net_g.",
    "net.",
    "network.",
)


def find_state_dict(content: Mapping[object, object], keys: tuple[str, ...] = ()) -> object:
    """Find the state dict in a checkpoint.

    Args:
        content: What the file holds.
        keys: Where the publisher put it, before all other places.

    Returns:
        What lies under the first known key, to any depth; else the only mapping that holds tensors;
        else `content` itself.
    """
    for key in (*keys, *_WRAPPERS):
        held = content.get(key)
        if isinstance(held, Mapping) and held:
            return find_state_dict(held, keys)
    if any(isinstance(value, Tensor) for value in content.values()):
        return content
    holders = [
        value
        for value in content.values()
        if isinstance(value, Mapping) and any(isinstance(held, Tensor) for held in value.values())
    ]
    if len(holders) == 1:
        return holders[0]
    empty = [value for value in content.values() if isinstance(value, Mapping) and not value]
    return empty[0] if empty and not holders else content


def strip_prefixes(state: StateDict) -> StateDict:
    """Drop what trainers put before every name.

    Args:
        state: Tensors by name.

    Returns:
        The tensors of one network by its own names; those of others, such as a discriminator's, are
        left out where a prefix tells them apart.
    """
    while True:
        shorter = next(_strip_once(state), None)
        if shorter is None:
            return state
        state = shorter


def _strip_once(state: StateDict) -> Iterator[StateDict]:
    """Yield the state without the outermost prefix, if it has one."""
    for prefix in _PREFIXES:
        own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        if own and (len(own) == len(state) or _is_apart(state)):
            yield own
    inner = {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}
    if len(inner) == len(state) and not all(key[:1].isdigit() for key in inner):
        yield inner


def _is_apart(state: StateDict) -> bool:
    """Return whether every name begins with a network's own, as where several are trained."""
    heads = {key.partition(".")[0] for key in state}
    return heads <= {prefix.rstrip(".") for prefix in _PREFIXES} | {
        "discriminator",
        "netD",
        "net_d",
        "loss",
        "perceptual",
        "cri_perceptual",
        "vgg",
    }
