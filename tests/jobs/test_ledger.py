from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from aedeploy.errors import JobError
from aedeploy.jobs.ledger import LEDGER_FILE, Entry, LedgerWriter, ledger_state, read_ledger
from aedeploy.jobs.spec import Failure, Output, ShardReport, Source


def report(number: int, *paths: str, failed: tuple[str, ...] = (), outputs: tuple[Output, ...] = ()) -> ShardReport:
    return ShardReport(
        number=number,
        processed=tuple(Source(path=path, file=path, bytes=len(path), mtime_ns=number) for path in paths),
        failures=tuple(Failure(path=path, reason="broken") for path in failed),
        outputs=outputs,
    )


def write(folder: Path, *reports: ShardReport, restart: bool = False) -> None:
    with LedgerWriter(folder) as ledger:
        ledger.begin({"job": "encode"}, restart=restart)
        for one in reports:
            ledger.add(one)


def test_there_is_none_before_the_first_run(tmp_path: Path) -> None:
    assert read_ledger(tmp_path) is None


def test_what_was_added_is_read(tmp_path: Path) -> None:
    files = (Output(file="latent-00000.npy", bytes=7), Output(file="latent-00000.json", bytes=9))
    write(tmp_path, report(0, "a", "bb", failed=("bb",), outputs=files))
    record = read_ledger(tmp_path)
    assert record is not None
    assert record.fingerprint == {"job": "encode"}
    assert record.entries == {
        "a": Entry(bytes=1, mtime_ns=0, ok=True, shard=0),
        "bb": Entry(bytes=2, mtime_ns=0, ok=False, shard=0),
    }
    assert record.outputs == {0: files}


def test_files_that_a_run_was_about_to_write_are_remembered(tmp_path: Path) -> None:
    for files in (["a", "b"], ["b", "c"], []):
        with LedgerWriter(tmp_path) as ledger:
            ledger.begin({"job": "encode"}, files)
    record = read_ledger(tmp_path)
    assert record is not None
    assert record.files == {"a", "b", "c"}
    assert (record.entries, record.outputs) == ({}, {})


def test_its_state_changes_with_every_line_and_when_it_starts_again(tmp_path: Path) -> None:
    assert ledger_state(tmp_path) is None
    LedgerWriter(tmp_path).close()
    assert ledger_state(tmp_path) is None
    states = []
    for reports, restart in (((), False), ((report(0, "a"),), False), ((), True)):
        write(tmp_path, *reports, restart=restart)
        states.append(ledger_state(tmp_path))
    assert None not in states
    assert len(set(states)) == 3


def test_it_is_only_appended_to_and_the_last_word_counts(tmp_path: Path) -> None:
    write(tmp_path, report(0, "a", failed=("a",)))
    before = (tmp_path / LEDGER_FILE).read_bytes()
    write(tmp_path, report(1, "a"))
    after = (tmp_path / LEDGER_FILE).read_bytes()
    assert after.startswith(before)
    assert after.count(b"aedeploy_ledger") == 1
    record = read_ledger(tmp_path)
    assert record is not None
    assert record.entries["a"] == Entry(bytes=1, mtime_ns=1, ok=True, shard=1)


@pytest.mark.parametrize("length", [1, 70_000])
def test_a_line_that_a_killed_process_left_unfinished_is_cut_off(tmp_path: Path, length: int) -> None:
    write(tmp_path, report(0, "a"))
    with (tmp_path / LEDGER_FILE).open("ab") as ledger:
        ledger.write(b'{"shard": 1, ' + b"x" * length)
    record = read_ledger(tmp_path)
    assert record is not None
    assert list(record.entries) == ["a"]
    write(tmp_path, report(2, "b"))
    record = read_ledger(tmp_path)
    assert record is not None
    assert list(record.entries) == ["a", "b"]


def test_a_ledger_of_an_unfinished_line_alone_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / LEDGER_FILE).parent.mkdir()
    (tmp_path / LEDGER_FILE).write_bytes(b'{"aedeploy_led')
    assert read_ledger(tmp_path) is None
    write(tmp_path, report(0, "a"))
    assert read_ledger(tmp_path) is not None


@pytest.mark.parametrize("text", ["{}\n", "[1]\n", "not json\n", '{"aedeploy_ledger": 1, "fingerprint": {}}\n{}\n'])
def test_a_damaged_ledger_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / LEDGER_FILE).parent.mkdir()
    (tmp_path / LEDGER_FILE).write_text(text)
    with pytest.raises(JobError, match=r"is damaged .*: pass --overwrite"):
        read_ledger(tmp_path)


def test_a_ledger_of_another_release_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / LEDGER_FILE).parent.mkdir()
    (tmp_path / LEDGER_FILE).write_text('{"aedeploy_ledger": 99}\n')
    with pytest.raises(JobError, match="another release"):
        read_ledger(tmp_path)


def test_paths_of_any_bytes_come_back(tmp_path: Path) -> None:
    odd = [os.fsdecode(b"a\xff.png"), "ü\n.png", "𝔞.png"]
    write(tmp_path, report(0, *odd))
    record = read_ledger(tmp_path)
    assert record is not None
    assert list(record.entries) == odd


def test_two_jobs_at_once_are_refused(tmp_path: Path) -> None:
    with LedgerWriter(tmp_path), pytest.raises(JobError, match="Another job is writing to"):
        LedgerWriter(tmp_path)
    LedgerWriter(tmp_path).close()


def test_starting_again_empties_it(tmp_path: Path) -> None:
    write(tmp_path, report(0, "a"))
    write(tmp_path, report(0, "b"), restart=True)
    record = read_ledger(tmp_path)
    assert record is not None
    assert list(record.entries) == ["b"]


def test_a_line_that_does_not_fit_on_the_disk_leaves_no_half_of_it(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with LedgerWriter(tmp_path) as ledger:
        ledger.begin({"job": "encode"})
        ledger.add(report(0, "a"))
        before = (tmp_path / LEDGER_FILE).read_bytes()
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50, hard))
        try:
            with pytest.raises(OSError, match="File too large"):
                ledger.add(report(1, *(f"{number}.png" for number in range(1000))))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / LEDGER_FILE).read_bytes() == before
