import numpy as np
import torch
from torch.nn.functional import avg_pool2d

from superres.networks.realesrgan import build_srvgg
from training.recipe import StudentSettings
from training.students import lengthen, make_student, reduce_last_layer, thin_out
from training.teacher import correct_mean, gaussian_blur


def test_thinning_keeps_the_outer_layers_and_even_distances() -> None:
    torch.manual_seed(0)
    state = build_srvgg(32).state_dict()
    shorter = build_srvgg(12)
    shorter.load_state_dict(thin_out(state, 12))
    assert torch.equal(shorter.state_dict()["body.0.weight"], state["body.0.weight"])
    assert torch.equal(shorter.state_dict()["body.26.bias"], state["body.66.bias"])
    taken = [
        next(n for n in range(1, 33) if torch.equal(layer, state[f"body.{2 * n}.weight"]))
        for layer in (shorter.state_dict()[f"body.{2 * n}.weight"] for n in range(1, 13))
    ]
    assert set(np.diff(taken)) <= {2, 3}


def test_a_network_thinned_to_its_own_length_is_itself() -> None:
    state = build_srvgg(8).state_dict()
    assert all(torch.equal(value, state[key]) for key, value in thin_out(state, 8).items())


def test_added_layers_change_nothing_at_first() -> None:
    torch.manual_seed(0)
    short, long = build_srvgg(3), build_srvgg(5)
    long.load_state_dict(lengthen(short.state_dict(), 5))
    x = torch.rand(1, 3, 17, 12)
    with torch.inference_mode():
        assert torch.allclose(short(x), long(x), atol=1e-6)


def test_the_smaller_scale_is_the_area_average_of_the_larger() -> None:
    torch.manual_seed(0)
    large, small = build_srvgg(3, 4), build_srvgg(3, 2)
    small.load_state_dict(reduce_last_layer(large.state_dict(), 2))
    x = torch.rand(1, 3, 17, 12)
    with torch.inference_mode():
        assert torch.allclose(small(x), avg_pool2d(large(x), 2), atol=1e-5)


def test_the_mean_colour_is_corrected_and_detail_kept() -> None:
    torch.manual_seed(0)
    lr = torch.rand(1, 3, 1, 1).expand(-1, -1, 40, 40)
    texture = 0.1 * torch.randn(1, 3, 160, 160)
    made = lr.repeat_interleave(4, 2).repeat_interleave(4, 3) - 0.02 + texture
    corrected = correct_mean(made, lr, 4)
    before, after = (abs((image - texture).mean() - lr.mean()) for image in (made, corrected))
    assert before > 0.015
    assert after < 0.002
    assert (corrected - made).std() < 0.01


def test_the_blur_is_scipys() -> None:
    from scipy.ndimage import gaussian_filter

    torch.manual_seed(0)
    images = torch.rand(2, 3, 24, 30)
    expected = gaussian_filter(images.numpy(), (0, 0, 1.0, 1.0), mode="mirror", truncate=3)
    assert abs(gaussian_blur(images, 1.0).numpy() - expected).max() < 1e-5


def test_a_start_from_nothing_keeps_the_size_of_signals() -> None:
    torch.manual_seed(0)
    settings = StudentSettings(network="compact", scale=1, convolutions=8, features=48)
    student = make_student(settings, None, None)
    x = torch.rand(2, 3, 40, 40)
    with torch.inference_mode():
        assert (student(x) - x).std() < 0.5  # near interpolation
        inside = x
        for layer in list(student.network.body)[:-1]:  # type: ignore[arg-type]
            inside = layer(inside)
    assert 0.2 < inside.std() < 3
