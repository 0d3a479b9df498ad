"""A model made ready: its weights found, checked and put into networks on a device."""

from pathlib import Path

from superres.inference.device import Device
from superres.inference.upscaler import NetworkUpscaler
from superres.model_spec import NetworkSpec, StateDict
from superres.weights.store import Store, interpolate, load, locate, read_state_dict

DENOISE_STRENGTH = 0.5  # Real-ESRGAN's default


class NetworkModel:
    """A catalogue row with its weights in memory, and the Upscaler for given options."""

    def __init__(
        self, spec: NetworkSpec, device: Device, store: Store, weights: Path | None = None
    ) -> None:
        """Find, check and load the weights; `weights` replaces the publisher's file.

        Raises WeightsMissing, WeightsCorrupt or WeightsMismatch.
        """
        self.spec = spec
        self.device = device
        self.states, self.path = read_states(spec, store, weights)
        self.upscalers: dict[float, NetworkUpscaler] = {}
        self.upscaler()

    def upscaler(self, *, denoise_strength: float | None = None) -> NetworkUpscaler:
        """The Upscaler at `denoise_strength`, 0 (keeps noise) to 1, to two decimals.

        Only models with two interpolated weights files tell strengths apart.
        """
        strength = DENOISE_STRENGTH if denoise_strength is None else round(denoise_strength, 2)
        if len(self.states) < 2:
            strength = DENOISE_STRENGTH
        if strength not in self.upscalers:
            self.upscalers = {
                **dict(list(self.upscalers.items())[-3:]),
                strength: self.make(strength),
            }
        return self.upscalers[strength]

    def make(self, strength: float) -> NetworkUpscaler:
        """A new Upscaler with the weights for `strength`."""
        network = self.spec.build()
        if self.states:
            state = self.states[0]
            if len(self.states) > 1:
                state = interpolate(state, self.states[1], strength)
            load(network, state, self.path)
        return NetworkUpscaler(self.spec, network, self.device)


def read_states(
    spec: NetworkSpec, store: Store, weights: Path | None
) -> tuple[list[StateDict], Path]:
    """The state dicts of `spec` in the network's own keys, and where the first one came from."""
    files = spec.weights[:1] if weights and weights.is_file() else spec.weights
    paths = [locate(file, store, weights) for file in files]
    keys = spec.weights[0].keys if spec.weights else ()
    states = [read_state_dict(path, keys) for path in paths]
    convert = spec.convert
    return [convert(state) if convert else state for state in states], (paths or [Path()])[0]
