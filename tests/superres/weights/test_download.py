import hashlib
import io
import logging
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from superres.errors import WeightsCorrupt, WeightsMissing
from superres.model_spec import Weights
from superres.weights.download import download, make_missing_error
from tests.superres.weights.downloads import leftovers, run_download
from tests.superres.weights.publisher import (
    CONTENT,
    ETAG,
    HASTE,
    Behaviour,
    Request,
    cut,
    promised,
    publishing,
    stalling,
    status,
    trickling,
    unmeasured,
    well,
    whole,
)

SIZE = len(CONTENT)
PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"


def part_of(target: Path, weights: Weights) -> Path:
    return target.with_name(f"{target.name}.{(weights.sha256 or 'unpinned')[:12]}.part")


def put_part(target: Path, weights: Weights, content: bytes) -> None:
    target.parent.mkdir()
    part_of(target, weights).write_bytes(content)


def test_a_file_arrives_and_leaves_no_part(target: Path) -> None:
    assert run_download(target, well) == ([None], None)


def test_a_file_that_is_already_right_is_not_asked_for(target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(CONTENT)
    assert run_download(target, status(500)) == ([], None)


def test_a_wrong_file_under_the_real_name_is_replaced(target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(CONTENT[:-1])
    assert run_download(target, well) == ([None], None)


def test_a_redirect_is_followed(target: Path) -> None:
    def elsewhere(request: Request) -> None:
        request.head(302, Location="/elsewhere")

    assert run_download(target, elsewhere, well) == ([None, None], None)


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
def test_a_redirect_to_another_scheme_is_refused(target: Path, place: str) -> None:
    assert "redirect" in str(run_download(target, status(302, Location=place)).error)


def test_progress_is_one_log_line_per_tenth(target: Path, caplog: pytest.LogCaptureFixture) -> None:
    def slices(request: Request) -> None:
        request.head(200, Content_Length=SIZE)
        for start in range(0, SIZE, SIZE // 20):
            request.wfile.write(CONTENT[start : start + SIZE // 20])
            request.server.closing.wait(0.005)

    with caplog.at_level(logging.INFO, "superres"):
        run_download(target, slices)
    lines = [message for message in caplog.messages if " % of " in message]
    assert 5 <= len(lines) <= 10  # two slices may arrive as one
    assert lines[-1] == f"weights.pth: 100 % of {SIZE} bytes"


def test_progress_is_a_bar_on_a_terminal(
    target: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with caplog.at_level(logging.INFO, "superres"):
        run_download(target, well)
    assert "weights.pth:   0%" in terminal.getvalue()
    assert not any("%" in message for message in caplog.messages)


def test_a_connection_cut_at_90_percent_is_resumed(target: Path) -> None:
    with publishing(cut(SIZE * 9 // 10), well) as publisher:
        download(promised(publisher.url), target, HASTE)
        assert publisher.ranges == [None, f"bytes={SIZE * 9 // 10}-"]
        assert publisher.seen[1].headers["If-Range"] == ETAG
    assert target.read_bytes() == CONTENT


@settings(max_examples=5)
@given(cuts=st.lists(st.integers(1, SIZE - 1), unique=True, max_size=6).map(sorted))
def test_any_number_of_cuts_that_bring_new_bytes_is_survived(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    target = tmp_path_factory.mktemp("cache") / "weights.pth"
    expected = [None, *(f"bytes={place}-" for place in cuts)]
    assert run_download(target, *map(cut, cuts), well) == (expected, None)


def test_a_part_of_an_earlier_process_is_resumed(target: Path) -> None:
    put_part(target, promised(""), CONTENT[:1000])
    assert run_download(target, well) == (["bytes=1000-"], None)


def test_a_whole_part_of_an_earlier_process_needs_no_request(target: Path) -> None:
    put_part(target, promised(""), CONTENT)
    assert run_download(target, well) == ([], None)


def test_a_part_that_was_wrong_is_dropped_and_all_is_fetched(target: Path) -> None:
    put_part(target, promised(""), b"x" * 1000)
    assert run_download(target, well) == (["bytes=1000-", None], None)


def test_a_part_that_is_too_long_is_dropped(target: Path) -> None:
    put_part(target, promised(""), CONTENT + b"x")
    assert run_download(target, well) == ([None], None)


def test_a_part_longer_than_the_servers_file_is_dropped(target: Path) -> None:
    unsized = replace(promised(""), size=None)
    put_part(target, unsized, CONTENT + b"x")
    assert run_download(target, well, weights=unsized) == ([f"bytes={SIZE + 1}-", None], None)


def test_parts_of_former_editions_are_tidied_away(target: Path) -> None:
    put_part(target, promised("", b"former edition"), b"former")
    assert run_download(target, well) == ([None], None)


def test_a_server_that_ignores_ranges_starts_over(target: Path) -> None:
    assert run_download(target, cut(50_000), whole(CONTENT)) == ([None, "bytes=50000-"], None)


@pytest.mark.parametrize("sha256", [promised("").sha256, None])
def test_a_server_that_answers_another_range_starts_over(target: Path, sha256: str | None) -> None:
    def another(request: Request) -> None:
        request.head(206, Content_Range=f"bytes 7-{SIZE - 1}/{SIZE}", ETag=ETAG)
        request.wfile.write(CONTENT[7:])

    weights = replace(promised(""), sha256=sha256)
    expected = ([None, "bytes=5000-", None], None)
    assert run_download(target, cut(5000), another, well, weights=weights) == expected


def test_a_stalled_connection_is_given_up_and_resumed(target: Path) -> None:
    assert run_download(target, stalling(3000), well, stall=0.5) == ([None, "bytes=3000-"], None)


def test_without_a_hash_only_the_same_edition_is_resumed(target: Path) -> None:
    unpinned = replace(promised(""), sha256=None, size=None)
    put_part(target, unpinned, b"of an unknown edition")

    def new_edition(request: Request) -> None:
        assert request.headers["If-Range"] == ETAG
        whole(CONTENT)(request)

    assert run_download(target, cut(5000), new_edition, weights=unpinned) == (
        [None, "bytes=5000-"],
        None,
    )


def test_without_a_hash_the_found_one_is_logged(
    target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run_download(target, unmeasured(CONTENT), weights=replace(promised(""), sha256=None, size=None))
    assert hashlib.sha256(CONTENT).hexdigest() in caplog.text


def test_one_server_error_is_tried_again(target: Path) -> None:
    assert run_download(target, status(500), well) == ([None, None], None)


@pytest.mark.parametrize("code", [500, 503, 429])
def test_three_tries_are_the_end(target: Path, code: int) -> None:
    ranges, error = run_download(target, status(code))
    assert len(ranges) == 3
    assert isinstance(error, WeightsMissing)
    assert f"HTTP status {code} (tried 3 times)" in str(error)


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_refusal_is_not_tried_again(target: Path, code: int) -> None:
    ranges, error = run_download(target, status(code))
    assert len(ranges) == 1
    assert isinstance(error, WeightsMissing)
    assert f"HTTP status {code};" in str(error)


def test_the_waits_double(target: Path, caplog: pytest.LogCaptureFixture) -> None:
    run_download(target, status(500))
    waits = [message.rpartition("next try in ")[2] for message in caplog.messages]
    assert waits == ["0.01 s", "0.02 s"]


@pytest.mark.parametrize("announced", [SIZE - 1000, SIZE + 1000])
def test_a_length_other_than_the_published_one_is_refused_unread(
    target: Path, announced: int
) -> None:
    ranges, error = run_download(target, whole(CONTENT, announced))
    assert isinstance(error, WeightsMissing)
    assert f"has {announced} bytes, expected {SIZE}" in str(error)
    assert (len(ranges), leftovers(target)) == (1, [])


def test_a_body_shorter_than_announced_never_becomes_the_file(target: Path) -> None:
    unsized = replace(promised(""), size=None)
    _, error = run_download(target, whole(CONTENT, SIZE + 1000), weights=unsized)
    assert f"ended at {SIZE} of {SIZE + 1000} bytes" in str(error)
    assert not target.exists()


def test_a_body_without_length_that_ends_early_never_becomes_the_file(target: Path) -> None:
    _, error = run_download(target, unmeasured(CONTENT[:-1]))
    assert f"ended at {SIZE - 1} of {SIZE} bytes" in str(error)
    assert not target.exists()


@pytest.mark.parametrize("page", [whole(PAGE, kind="text/html"), whole(PAGE), unmeasured(PAGE)])
def test_a_web_page_is_called_one_or_refused_by_its_length(target: Path, page: Behaviour) -> None:
    _, error = run_download(target, page)
    assert isinstance(error, WeightsMissing)
    assert "web page" in str(error) or f"has {len(PAGE)} bytes" in str(error)
    assert leftovers(target) == []


def test_wrong_bytes_are_deleted_and_both_hashes_named(target: Path) -> None:
    wrong = CONTENT[:-1] + b"?"
    ranges, error = run_download(target, whole(wrong))
    assert isinstance(error, WeightsCorrupt)
    assert hashlib.sha256(wrong).hexdigest() in str(error)
    assert hashlib.sha256(CONTENT).hexdigest() in str(error)
    assert (len(ranges), leftovers(target)) == (1, [])


def test_an_empty_answer_is_corrupt(target: Path) -> None:
    unpinned = replace(promised(""), sha256=None, size=None)
    _, error = run_download(target, unmeasured(b""), weights=unpinned)
    assert "is empty" in str(error)
    assert leftovers(target) == []


def test_a_compressed_answer_is_refused(target: Path) -> None:
    _, error = run_download(target, status(200, Content_Encoding="gzip"))
    assert "Content-Encoding gzip" in str(error)


def test_a_server_that_never_goes_on_is_given_up(target: Path) -> None:
    ranges, error = run_download(target, stalling(0), stall=0.3)
    assert isinstance(error, WeightsMissing)
    assert f"broke at 0 of {SIZE} bytes" in str(error)
    assert len(ranges) == 3


def test_a_trickle_ends_at_the_limit_of_time_and_is_kept(target: Path) -> None:
    with publishing(trickling) as publisher:
        weights = promised(publisher.url)
        with pytest.raises(WeightsMissing, match=r"not complete after 0\.3 s \(\d+ of \d+ bytes"):
            download(weights, target, replace(HASTE, total=0.3))
    kept = part_of(target, weights).read_bytes()
    assert kept == CONTENT[: len(kept)] != b""


def test_an_unreachable_server_leads_to_everything_a_person_needs(target: Path) -> None:
    weights = promised("http://127.0.0.1:9/weights.pth")
    with pytest.raises(WeightsMissing, match="cannot be reached") as caught:
        download(weights, target, HASTE)
    for part in (weights.file, weights.url, weights.sha256, str(SIZE), str(target.parent)):
        assert str(part) in str(caught.value)
    assert "SUPERRES_WEIGHTS_DIR" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_never_reached_is_not_tried_for_long(target: Path) -> None:
    with pytest.raises(WeightsMissing, match="tried once"):
        download(promised("http://127.0.0.1:9/"), target, replace(HASTE, reach=0))


def test_weights_that_are_shipped_are_not_to_be_downloaded(tmp_path: Path) -> None:
    assert "install superres again" in str(make_missing_error(promised(None), tmp_path, "gone"))


def test_too_little_disk_is_an_error_before_a_byte_is_written(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("usage", (), {"free": SIZE})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    _, error = run_download(target, well)
    assert isinstance(error, WeightsMissing)
    assert f"{SIZE} bytes free" in str(error)
    assert part_of(target, promised("")).stat().st_size == 0


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(WeightsMissing, match=r"cache cannot be written \("):
        download(promised("http://127.0.0.1:9/"), tmp_path / "cache" / "weights.pth", HASTE)


def test_a_target_that_cannot_be_replaced_is_named(target: Path) -> None:
    target.mkdir(parents=True)
    (target / "occupied").touch()
    with publishing(well) as publisher, pytest.raises(WeightsMissing, match="cannot be written"):
        download(promised(publisher.url), target, HASTE)
