from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.torch import load_file

from superres.errors import WeightsCorrupt
from superres.model_spec import StateDict
from superres.networks.lapsrn import LapSRNNetwork, MSLapSRNNetwork
from superres.weights.matconvnet import LARGEST, load_matconvnet

scipy_io = pytest.importorskip("scipy.io")
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
    scipy_io.savemat(path, {"net": content, **beside}, do_compression=True)
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
        (np.eye(3), "net is no struct with params"),
        ("net", "net is no struct with params"),
        ({"layers": 1.0}, "net is no struct with params"),
        ({"params": np.eye(3)}, r"net\.params is no struct with name and value"),
        ({"params": {"name": "a_f"}}, r"net\.params is no struct with name and value"),
        ({"params": params()}, r"net\.params is "),
        (params(("a_f", FILTER)), "net is no struct with params"),
        (np.array([[(1.0,), (2.0,)]], [("params", "O")]), "net has 2 elements"),
        ({"params": params(("weights", FILTER))}, 'parameter "weights" has no name'),
        ({"params": params(("../x_f", FILTER))}, r'parameter "\.\./x_f" has no name'),
        ({"params": params((5.0, FILTER))}, 'parameter "" has no name'),
        ({"params": params((np.array(["a_f", "b_f"]), FILTER))}, "has no name"),
        ({"params": params(("a_f", "text"))}, "a_f is no array of floating-point numbers"),
        ({"params": params(("a_f", {"b": 1.0}))}, "a_f is no array of floating-point numbers"),
        ({"params": params(("a_f", FILTER.astype(int)))}, "a_f is no array of floating"),
        ({"params": params(("a_f", FILTER[:0]))}, "a_f has 0 numbers"),
        ({"params": params(("a_f", FILTER * 1j))}, "a_f is no array of floating"),
        ({"params": params(("a_f", FILTER * np.nan))}, "a_f has numbers that are not finite"),
        ({"params": params(("a_b", np.array([1e300])))}, "a_b has numbers that are not finite"),
        ({"params": params(("a_f", FILTER[None] * FILTER[0, 0, 0, 0]))}, "a_f has 5 dimensions"),
        ({"params": params(("a_f", FILTER), ("a_f", FILTER))}, r"has a\.weight twice"),
    ],
)
def test_anything_but_the_expected_struct_is_refused(
    tmp_path: Path, content: Any, reason: str
) -> None:
    path = write(tmp_path / "net.mat", content)
    with pytest.raises(WeightsCorrupt, match=rf"net\.mat.*{reason}"):
        load_matconvnet(path)


def test_a_file_without_the_variable_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.mat"
    scipy_io.savemat(path, {"stats": 1.0})
    with pytest.raises(WeightsCorrupt, match="it has no variable net"):
        load_matconvnet(path)


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04", b"<!doctype html>", b"\x89HDF\r\n\x1a\n", b"\x80\x04N."]
)
def test_other_formats_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "net.mat"
    path.write_bytes(data + bytes(600))
    with pytest.raises(WeightsCorrupt):
        load_matconvnet(path)


@given(data=st.data())
def test_a_damaged_file_is_refused_or_still_holds_finite_numbers(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.mat"
    scipy_io.savemat(path, {"net": {"params": params(("a_f", FILTER), ("a_b", np.ones(2)))}})
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content[: data.draw(st.integers(place, len(content)))])
    try:
        state = load_matconvnet(path)
    except WeightsCorrupt:
        return
    assert all(torch.isfinite(tensor).all() for tensor in state.values())


def test_a_small_file_cannot_become_a_large_one(tmp_path: Path) -> None:
    path = write(tmp_path / "net.mat", np.zeros(LARGEST // 8 + 1))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(WeightsCorrupt, match="cut short or longer than"):
        load_matconvnet(path)


def test_a_missing_file_is_the_callers_to_explain(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_matconvnet(tmp_path / "net.mat")
