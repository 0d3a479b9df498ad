import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from superres.errors import WeightsCorrupt
from superres.model_spec import StateDict, Weights
from superres.networks.lapsrn import LapSRNNetwork, MSLapSRNNetwork
from superres.weights.matconvnet import load_matconvnet
from superres.weights.store import Store, locate, read_state_dict

NETWORKS = {"LapSRN": lambda: LapSRNNetwork(4, 2), "MSLapSRN": lambda: MSLapSRNNetwork(4, 2)}
FILTER = np.ones((3, 3, 2, 2), np.float32)


def params(*named: tuple[Any, Any]) -> NDArray[Any]:
    """MatConvNet's array of parameters, (1, n) structs."""
    fields = [("name", "O"), ("value", "O"), ("learningRate", "O")]
    rows = np.empty((1, len(named)), fields)
    for number, (name, value) in enumerate(named):
        rows[0, number] = (name, value, 1.0)
    return rows


def write(path: Path, content: Any, **beside: Any) -> Path:
    """A compressed MATLAB file with `content` as `net`, as the publisher's are."""
    scipy.io.savemat(path, {"net": content, **beside}, do_compression=True)
    return path


def published(state: StateDict) -> list[tuple[str, NDArray[np.float32]]]:
    """`state` as MatConvNet names and shapes it, trailing dimensions of one dropped."""
    made = []
    for key, tensor in state.items():
        layer, _, kind = key.rpartition(".")
        value = tensor.numpy()
        if kind == "weight":
            value = value.transpose(2, 3, 1, 0)
            while value.shape[-1] == 1:
                value = value[..., 0]
        made.append((layer + ("_f" if kind == "weight" else "_b"), value))
    return made


@pytest.mark.parametrize("name", NETWORKS)
def test_a_published_file_gives_the_state_that_it_was_made_from(tmp_path: Path, name: str) -> None:
    torch.manual_seed(0)
    wanted = NETWORKS[name]().state_dict()
    net = {"vars": [], "params": params(*published(wanted)), "layers": [], "meta": []}
    loaded = load_matconvnet(write(tmp_path / "net.mat", net, stats={"train": 1.0}))
    assert loaded.keys() == wanted.keys()
    assert all(torch.equal(loaded[key], wanted[key]) for key in wanted)
    NETWORKS[name]().load_state_dict(loaded, strict=True)


@pytest.mark.weights
@pytest.mark.parametrize("name", ["LapSRN_x2", "LapSRN_x8", "MSLapSRN_D5R2"])
def test_official_weights_come_back_from_the_publishers_layout(
    shared_data: Path, tmp_path: Path, name: str
) -> None:
    wanted = load_file(shared_data / "weights" / f"{name}.safetensors")
    loaded = load_matconvnet(write(tmp_path / "net.mat", {"params": params(*published(wanted))}))
    assert loaded.keys() == wanted.keys()
    assert all(torch.equal(loaded[key], wanted[key]) for key in wanted)


def test_biases_are_flat_whatever_their_orientation(tmp_path: Path) -> None:
    net = {"params": params(("a_b", np.ones((1, 3))), ("b_b", np.ones((2, 1))), ("c_b", 1.0))}
    loaded = load_matconvnet(write(tmp_path / "net.mat", net))
    assert {key: (tuple(v.shape), v.dtype) for key, v in loaded.items()} == {
        "a.bias": ((3,), torch.float32),
        "b.bias": ((2,), torch.float32),
        "c.bias": ((1,), torch.float32),
    }


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"params": params(("weights", FILTER))}, "parameter weights has no name"),
        ({"params": params(("../x_f", FILTER))}, r"parameter \.\./x_f has no name"),
        ({"layers": 1.0}, "params"),
    ],
)
def test_anything_but_the_expected_struct_is_an_error(
    tmp_path: Path, content: Any, reason: str
) -> None:
    path = write(tmp_path / "net.mat", content)
    with pytest.raises(WeightsCorrupt, match=rf"net\.mat.*{reason}"):
        read_state_dict(path)


def test_a_file_of_the_operators_is_read_only_with_the_publishers_hash(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache", offline=True)
    path = write(tmp_path / "net.mat", {"params": params(("a_f", FILTER))})
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    weights = Weights("net.mat", "MIT", "origin", "http://host/net.mat", sha256, len(data))
    assert locate(weights, store, path) == path
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(WeightsCorrupt, match="sha256"):
        locate(weights, store, path)
