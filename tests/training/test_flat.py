import numpy as np
import pytest
import torch

from evaluation.protocol import bicubic
from superres.networks.bicubic_pp import BicubicPPNetwork
from training.flat import COPIES, FlatExact
from training.patches import as_tensor

RIM = 8  # the receptive radius: what the zero padding of a patch can reach


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_training_starts_at_bicubic(scale: int) -> None:
    network, start = BicubicPPNetwork(scale), FlatExact(scale)
    with torch.no_grad():  # what is random at the start, so that bicubic alone is left
        start.free["conv_out"][:, COPIES:] = 0
        start.free["conv2"].zero_()
    network.load_state_dict(start.weights())
    pixels = np.random.default_rng(0).integers(60, 196, (20, 24, 3), dtype=np.uint8)
    with torch.inference_mode():
        made = network(as_tensor(pixels[None]))[0].permute(1, 2, 0).mul(255).round().numpy()
    inside = slice(RIM * scale, -RIM * scale)
    wanted = bicubic(pixels, 24 * scale, 20 * scale).astype(float)
    assert abs(made - wanted)[inside, inside].max() <= 1


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_any_parameters_keep_flat_colours(scale: int) -> None:
    torch.manual_seed(scale)
    free = FlatExact(scale)
    with torch.no_grad():
        for parameter in free.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    network = BicubicPPNetwork(scale)
    network.load_state_dict(free.weights())
    colours = torch.rand(20, 3, 1, 1).expand(-1, -1, 40, 40)
    with torch.inference_mode():
        made = network(colours)[..., RIM * scale : -RIM * scale, RIM * scale : -RIM * scale]
    assert (made - colours[..., :1, :1]).abs().max() < 1e-4


def test_the_free_parameters_and_the_exported_network_compute_the_same() -> None:
    torch.manual_seed(0)
    free, network = FlatExact(3), BicubicPPNetwork(3)
    network.load_state_dict(free.weights())
    x = torch.rand(1, 3, 20, 18)
    with torch.inference_mode():
        assert torch.allclose(free(x), network(x), atol=1e-6)
