import contextlib
import os
import pickle
import pwd
import zipfile
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file
from torch import nn

from superres.errors import BadSetting, WeightsCorrupt, WeightsMismatch, WeightsMissing
from superres.model_spec import StateDict, Weights
from superres.weights.download import find_fault
from superres.weights.store import Store, interpolate, load_state_dict, locate, read_state_dict
from tests.superres.weights.publisher import CONTENT, HASTE, cut, promised, publishing, well

NOWHERE = "http://127.0.0.1:9/weights.pth"
VARIABLES = ("SUPERRES_CACHE", "SUPERRES_OFFLINE", "SUPERRES_WEIGHTS_DIR", "XDG_CACHE_HOME")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store of empty folders that stays offline."""
    folders = tuple(tmp_path / name for name in ("first", "second"))
    places = (*folders, tmp_path / "cache", tmp_path / "assets", tmp_path / "own")
    for place in places:
        place.mkdir()
    return Store(tmp_path / "cache", True, folders, tmp_path / "assets", HASTE)


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU(4), nn.BatchNorm2d(4))


def state() -> StateDict:
    return {name: tensor.clone() for name, tensor in network().state_dict().items()}


def equal(one: StateDict, other: StateDict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


# --- settings


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SUPERRES_CACHE": "/models"}, "/models"),
        ({"SUPERRES_CACHE": "/models", "XDG_CACHE_HOME": "/xdg"}, "/models"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/superres"),
        ({"SUPERRES_CACHE": "", "XDG_CACHE_HOME": ""}, "/home/somebody/.cache/superres"),
        ({"SUPERRES_CACHE": "~/models"}, "/home/somebody/models"),
    ],
)
def test_the_cache_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Store.from_environment().cache() == Path(expected)


def test_arguments_beat_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERRES_CACHE", "/elsewhere")
    monkeypatch.setenv("SUPERRES_OFFLINE", "1")
    assert Store.from_environment(Path("/models"), offline=False) == Store(Path("/models"))


@pytest.mark.parametrize(
    ("value", "offline"), [("1", True), ("TRUE", True), ("0", False), ("false", False), ("", False)]
)
def test_offline_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, value: str, *, offline: bool
) -> None:
    monkeypatch.setenv("SUPERRES_OFFLINE", value)
    assert Store.from_environment().offline is offline


def test_an_unclear_offline_setting_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERRES_OFFLINE", "perhaps")
    with pytest.raises(
        BadSetting, match='SUPERRES_OFFLINE "perhaps": expected 1, true, 0 or false'
    ):
        Store.from_environment()


def test_without_a_home_only_what_needs_the_cache_fails(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(_: int) -> None:
        raise KeyError  # as for uid 10001 in a container

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    homeless = replace(store, cache_dir=Store.from_environment().cache_dir)
    with pytest.raises(BadSetting, match=r'cache_dir "~/\.cache/superres": this user has no home'):
        locate(promised(NOWHERE), homeless)
    (store.folders[0] / "weights.pth").write_bytes(CONTENT)
    assert locate(promised(NOWHERE), homeless) == store.folders[0] / "weights.pth"


# --- finding


def test_places_are_asked_in_their_order(store: Store, tmp_path: Path) -> None:
    weights = promised(NOWHERE)
    places = [tmp_path / "own", *store.folders, store.assets, store.cache_dir]
    for place in reversed(places):
        (place / weights.file).write_bytes(CONTENT)
        assert locate(weights, store, tmp_path / "own") == place / weights.file


def test_the_environment_names_folders_as_path_does(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (store.folders[1] / "weights.pth").write_bytes(CONTENT)
    monkeypatch.setenv("SUPERRES_WEIGHTS_DIR", os.pathsep.join(map(str, store.folders)))
    found = locate(promised(NOWHERE), Store.from_environment(offline=True))
    assert found == store.folders[1] / "weights.pth"


@pytest.mark.parametrize("place", ["own", "first", "assets", "cache"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (CONTENT[:-1], f"has {len(CONTENT) - 1} bytes, expected {len(CONTENT)}"),
        (bytes([CONTENT[0] ^ 1]) + CONTENT[1:], "has sha256 "),
        (b"", "is empty"),
        (b"\n<html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "is a Git LFS pointer"),
    ],
)
def test_a_corrupt_file_is_named_with_what_was_expected(
    store: Store, tmp_path: Path, place: str, content: bytes, reason: str
) -> None:
    path = tmp_path / place / "weights.pth"
    path.write_bytes(content)
    weights = promised(NOWHERE)
    with pytest.raises(WeightsCorrupt) as caught:
        locate(weights, store, tmp_path / "own")
    assert f'"{path}" {reason}' in str(caught.value)
    assert str(weights.url) in str(caught.value)
    if "bytes" in reason or "sha256" in reason:
        assert str(weights.sha256) in str(caught.value)


@settings(max_examples=20)
@given(bit=st.integers(0, 8 * len(CONTENT) - 1))
def test_any_flipped_bit_is_a_fault(tmp_path_factory: pytest.TempPathFactory, bit: int) -> None:
    path = tmp_path_factory.getbasetemp() / "flipped"
    content = bytearray(CONTENT)
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    assert "sha256" in (find_fault(path, promised(None)) or "")


def test_a_file_of_the_operator_is_taken_as_it_is_and_the_log_says_so(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(b"anything")
    assert locate(promised(NOWHERE), store, path) == path
    assert "size and hash not checked" in caplog.text


def test_a_file_of_the_operator_that_is_not_there_is_an_error(store: Store, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r'mine\.pth": no such file or folder') as caught:
        locate(promised(NOWHERE), store, tmp_path / "mine.pth")
    assert caught.value.option == "weights"


def test_offline_a_missing_file_is_described_with_all_that_is_needed(store: Store) -> None:
    weights = promised(NOWHERE)
    with pytest.raises(WeightsMissing, match="offline") as caught:
        locate(weights, store)
    for part in (weights.file, weights.url, weights.sha256, weights.size, *store.folders):
        assert str(part) in str(caught.value)
    assert f"into {store.cache_dir}, or set SUPERRES_WEIGHTS_DIR" in str(caught.value)


def test_a_missing_asset_means_a_broken_installation(store: Store) -> None:
    with pytest.raises(WeightsMissing, match="install superres again"):
        locate(promised(None), replace(store, offline=False))


def test_what_is_nowhere_is_downloaded_and_then_found_offline(store: Store) -> None:
    with publishing(cut(5000), well) as publisher:
        weights = promised(publisher.url)
        path = locate(weights, replace(store, offline=False))
        assert path.read_bytes() == CONTENT
        assert locate(weights, replace(store, offline=False)) == path
        assert locate(weights, store) == path
        assert len(publisher.seen) == 2


def test_a_truncated_file_in_the_cache_is_named_and_fetched_again(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    path = store.cache_dir / "weights.pth"
    path.write_bytes(CONTENT[:999])
    with publishing(well) as publisher:
        assert locate(promised(publisher.url), replace(store, offline=False)) == path
    assert path.read_bytes() == CONTENT
    assert f'"{path}" has 999 bytes' in caplog.text


def test_a_corrupt_file_of_the_operator_is_left_alone(store: Store) -> None:
    path = store.folders[0] / "weights.pth"
    path.write_bytes(CONTENT[:999])
    with publishing(well) as publisher:
        with pytest.raises(WeightsCorrupt):
            locate(promised(publisher.url), replace(store, offline=False))
        assert publisher.seen == []
    assert path.read_bytes() == CONTENT[:999]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(store: Store) -> None:
    path = store.folders[0] / "weights.pth"
    path.touch(mode=0)
    with pytest.raises(WeightsCorrupt, match="cannot be read"):
        locate(promised(NOWHERE), store)


def test_weights_without_a_published_hash_are_accepted(store: Store) -> None:
    (store.cache_dir / "weights.pth").write_bytes(b"whatever")
    weights = Weights("weights.pth", "MIT", "", NOWHERE)
    assert locate(weights, store) == store.cache_dir / "weights.pth"


# --- reading


def test_safetensors_are_read_whatever_their_name(tmp_path: Path) -> None:
    for name in ("state.safetensors", "state.pth"):
        save_file(state_ := state(), tmp_path / name)
        assert equal(read_state_dict(tmp_path / name), state_)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda held: held,
        lambda held: {"params": held},
        lambda held: {"params": {"old": torch.zeros(1)}, "params_ema": held, "iteration": 7},
        lambda held: {"params_ema": OrderedDict(held)},
        lambda held: {f"module.{name}": tensor for name, tensor in held.items()},
        lambda held: {name: nn.Parameter(tensor, False) for name, tensor in held.items()},
    ],
)
def test_torch_checkpoints_are_read_in_every_known_form(
    tmp_path: Path, wrap: object, *, zipped: bool
) -> None:
    assert callable(wrap)
    held = state()
    torch.save(wrap(held), tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    assert equal(read_state_dict(tmp_path / "a.pth"), held)


def test_other_keys_may_be_asked_for(tmp_path: Path) -> None:
    torch.save({"params": {"a": torch.zeros(1)}, "g": {"b": torch.ones(1)}}, tmp_path / "a.pth")
    assert list(read_state_dict(tmp_path / "a.pth", ("g", "params"))) == ["b"]


def test_a_prefix_that_only_some_keys_have_is_kept(tmp_path: Path) -> None:
    torch.save({"module.a": torch.zeros(1), "b": torch.zeros(1)}, tmp_path / "a.pth")
    assert set(read_state_dict(tmp_path / "a.pth")) == {"module.a", "b"}


class Canary:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch '{self.path}'",)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle", "beside tensors"])
def test_code_in_a_pickle_is_refused_and_never_run(tmp_path: Path, form: str) -> None:
    path, sign = tmp_path / "weights.pth", tmp_path / "the canary sang"
    canary: object = Canary(sign)
    if form == "pickle":
        path.write_bytes(pickle.dumps(canary, protocol=2))
    else:
        content = {"params": state(), "hook": canary} if form == "beside tensors" else canary
        torch.save(content, path, _use_new_zipfile_serialization=form != "legacy")
    with pytest.raises(WeightsCorrupt) as caught:
        read_state_dict(path)
    assert not sign.exists()
    assert str(path) in str(caught.value)
    assert "posix.system, an object that could run code" in str(caught.value)
    assert "\n" not in str(caught.value)
    pickle.loads(pickle.dumps(canary))  # the canary does sing where it may
    assert sign.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"<!doctype html><p>404", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "is a Git LFS pointer"),
        (b"PK\x03\x04" + bytes(100), "cannot be read"),
        (b"\x80\x02" + bytes(100), "cannot be read"),
        (b"no weights at all", "cannot be read"),
        (b"x", "cannot be read"),
        (bytes(1000), "cannot be read"),
    ],
)
def test_what_is_no_weights_file_is_named_with_the_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsCorrupt) as caught:
        read_state_dict(path)
    assert f'"{path}" {reason}' in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([torch.zeros(1)], "holds no tensors by name"),
        ({}, "holds no tensors by name"),
        ({"params": {}}, "holds no tensors by name"),
        ({"a": torch.zeros(1), "epoch": 3}, '"epoch" is a int, expected a dense Tensor'),
        ({"a": torch.eye(2).to_sparse()}, '"a" is a Tensor, expected a dense Tensor'),
    ],
)
def test_a_checkpoint_of_other_things_is_refused(
    tmp_path: Path, content: object, reason: str
) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(WeightsCorrupt, match=reason):
        read_state_dict(tmp_path / "a.pth")


def test_a_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="no such file"):
        read_state_dict(tmp_path / "a.pth")


def test_a_torchscript_archive_is_refused(tmp_path: Path) -> None:
    torch.save(state(), tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth", "a") as archive:
        archive.writestr("a/constants.pkl", b"")
    with pytest.raises(WeightsCorrupt):
        read_state_dict(tmp_path / "a.pth")


@settings(max_examples=30)
@given(share=st.floats(0, 1, exclude_max=True))
def test_every_truncation_is_corrupt(
    tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    base = tmp_path_factory.getbasetemp()
    save_file(state(), base / "whole.safetensors")
    torch.save(state(), base / "whole.pth")
    for whole in (base / "whole.safetensors", base / "whole.pth"):
        content = whole.read_bytes()
        cut_off = whole.with_stem("cut")
        cut_off.write_bytes(content[: int(share * len(content))])
        with pytest.raises(WeightsCorrupt, match="cut"):
            read_state_dict(cut_off)


@settings(max_examples=60)
@given(data=st.data())
def test_a_flipped_bit_in_the_header_raises_nothing_but_our_errors(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "flipped.safetensors"
    content = bytearray(save(state()))
    header = int.from_bytes(content[:8], "little")
    bit = data.draw(st.integers(0, 8 * (8 + header) - 1))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    # what raises nothing fits the network all the same, and is for the hash to find
    with contextlib.suppress(WeightsCorrupt, WeightsMismatch):
        load_state_dict(network(), read_state_dict(path), path)


@pytest.mark.weights
def test_official_weights_are_read(shared_data: Path) -> None:
    files = [path for path in shared_data.rglob("*.pth") if path.stat().st_size < 8 << 20]
    if not files:
        pytest.skip("no official weights here")
    for path in files:
        assert read_state_dict(path)


# --- loading


def test_loading_makes_the_network_what_the_file_says(tmp_path: Path) -> None:
    first, second = network(), network()
    load_state_dict(second, first.state_dict(), tmp_path / "a.pth")
    assert equal(first.state_dict(), second.state_dict())


def test_a_mismatch_names_the_first_differences_and_counts_the_rest() -> None:
    held = {f"extra.{number}": torch.zeros(1) for number in range(700)}
    held |= {"0.weight": torch.zeros(4, 3, 5, 5), "0.bias": torch.zeros(4)}
    with pytest.raises(WeightsMismatch) as caught:
        load_state_dict(network(), held, Path("some.pth"))
    assert str(caught.value) == (
        'weights file "some.pth" does not fit Sequential: '
        "missing 1.weight, 2.weight, 2.bias and 3 more; "
        "unexpected extra.0, extra.1, extra.2 and 697 more; "
        "with another shape 0.weight is (4, 3, 5, 5) in the file, (4, 3, 3, 3) in the network"
    )


@pytest.mark.parametrize("broken", ["missing", "unexpected", "shape"])
def test_one_difference_is_enough(broken: str) -> None:
    held = state()
    if broken == "missing":
        del held["2.running_var"]
    if broken == "unexpected":
        held["3.weight"] = torch.zeros(1)
    if broken == "shape":
        held["0.bias"] = torch.zeros(5)
    with pytest.raises(WeightsMismatch, match=broken):
        load_state_dict(network(), held, Path("some.pth"))


# --- interpolating


@given(weight=st.floats(0, 1))
def test_interpolation_is_linear_in_fp32(weight: float) -> None:
    first, second = torch.tensor([1.0, -2.0]).half(), torch.tensor([3.0, 6.0]).half()
    mixed = interpolate({"a": first}, {"a": second}, weight)["a"]
    assert mixed.dtype == torch.float32
    assert torch.allclose(mixed, torch.tensor([3 - 2 * weight, 6 - 8 * weight]))


def test_the_ends_of_an_interpolation_are_the_files_themselves() -> None:
    first, second = state(), state()
    assert equal(interpolate(first, second, 1), first)
    assert equal(interpolate(first, second, 0), second)


def test_whole_numbers_are_not_interpolated() -> None:
    one, two = {"index": torch.tensor([1])}, {"index": torch.tensor([2])}
    assert equal(interpolate(one, two, 0.5), one)


@pytest.mark.parametrize("other", [{"b": torch.zeros(2)}, {"a": torch.zeros(3)}])
def test_different_networks_are_not_interpolated(other: StateDict) -> None:
    with pytest.raises(WeightsMismatch, match="cannot be interpolated"):
        interpolate({"a": torch.zeros(2)}, other, 0.5)
