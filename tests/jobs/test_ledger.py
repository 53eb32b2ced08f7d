from __future__ import annotations

import json
import os
import resource
import time
from pathlib import Path

import pytest

from aedeploy.errors import JobError
from aedeploy.jobs.known import Known
from aedeploy.jobs.ledger import (
    LEDGER_FILE,
    LedgerWriter,
    Record,
    is_held,
    ledger_file,
    ledger_state,
    read_ledgers,
)
from aedeploy.jobs.spec import Failure, Member, Output, ShardReport, Source

DIGEST = "00ff00ff00ff00ff"


def report(number: int, *paths: str, failed: tuple[str, ...] = (), outputs: tuple[Output, ...] = ()) -> ShardReport:
    return ShardReport(
        number=number,
        members=tuple(Member(path=path, bytes=len(path), stamp=number, digest=DIGEST) for path in paths),
        failures=tuple(Failure(path=path, reason="broken") for path in failed),
        outputs=outputs,
    )


def write(folder: Path, *reports: ShardReport, restart: bool = False) -> None:
    with LedgerWriter(folder) as ledger:
        ledger.begin({"job": "encode"}, {"bundle": "b"}, restart=restart)
        for one in reports:
            ledger.add(one)


def paths(record: Record | None) -> list[str]:
    assert record is not None
    return [member.path for shard in record.shards for member in shard.members()]


def source(path: str, stamp: int = 0, size: int | None = None) -> Source:
    return Source(path=path, file=path, bytes=len(path) if size is None else size, stamp=stamp)


def test_there_is_none_before_the_first_run(tmp_path: Path) -> None:
    assert read_ledgers(tmp_path) is None


def test_what_was_added_is_read(tmp_path: Path) -> None:
    files = (Output(file="latent-00000.npy", bytes=7), Output(file="latent-00000.json", bytes=9))
    write(tmp_path, report(0, "a", "bb", failed=("bb",), outputs=files))
    record = read_ledgers(tmp_path)
    assert record is not None
    assert (record.fingerprint, record.request) == ({"job": "encode"}, {"bundle": "b"})
    (shard,) = record.shards
    assert shard.members() == [
        Member(path="a", bytes=1, stamp=0, digest=DIGEST),
        Member(path="bb", bytes=2, stamp=0, digest=DIGEST),
    ]
    assert shard.failures == (Failure(path="bb", reason="broken"),)
    assert record.outputs == {0: files}


def test_what_is_known_of_inputs(tmp_path: Path) -> None:
    write(tmp_path, report(3, "a", "bb", "c", failed=("bb",)), report(5, "c", failed=("c",)))
    asked = [source("new"), source("a", 3), source("a", 4), source("a", 3, 7), source("bb", 3), source("c", 5)]
    known = Known(read_ledgers(tmp_path)).standing(asked)
    assert known.known.tolist() == [False, True, True, True, True, True]
    assert known.ok.tolist() == [False, True, True, True, False, False]
    assert known.same.tolist() == [False, True, False, False, True, True]
    assert known.shard.tolist()[1:] == [3, 3, 3, 3, 5]
    assert known.digest.tolist()[1] == int(DIGEST, 16)
    nothing = Known(None).standing(asked)
    assert not nothing.known.any()


def test_numbers_that_a_run_was_about_to_use_are_remembered(tmp_path: Path) -> None:
    with LedgerWriter(tmp_path) as ledger:
        ledger.begin({"job": "encode"}, {})
        ledger.begun(2)
        ledger.add(report(9, "a"))
    with LedgerWriter(tmp_path, (1, 3)) as ledger:
        ledger.begin({"job": "encode"}, {})
        ledger.begun(1)
        ledger.begun(4)
    record = read_ledgers(tmp_path)
    assert record is not None
    assert record.numbers() == {1, 2, 4, 9}
    assert record.begun == {(0, 1): {2}, (1, 3): {1, 4}}


def test_ledgers_of_several_processes_are_read_as_one_in_the_order_of_time(tmp_path: Path) -> None:
    for part, failed in (((1, 2), ("a",)), ((0, 2), ())):
        with LedgerWriter(tmp_path, part) as ledger:
            ledger.begin({"job": "encode"}, {})
            ledger.add(report(part[0], "a", failed=failed))
        time.sleep(0.002)  # of which a ledger notes thousandths
    record = read_ledgers(tmp_path)
    assert record is not None
    assert [shard.number for shard in record.shards] == [1, 0]
    assert Known(record).standing([source("a")]).ok.tolist() == [True]


def test_a_ledger_of_another_job_beside_it_is_refused(tmp_path: Path) -> None:
    write(tmp_path, report(0, "a"))
    with LedgerWriter(tmp_path, (0, 2)) as ledger:
        ledger.begin({"job": "denoise"}, {})
    with pytest.raises(JobError, match="of another job than the ledger beside it"):
        read_ledgers(tmp_path)


def test_whether_it_is_held(tmp_path: Path) -> None:
    path = tmp_path / ledger_file((0, 1))
    assert not is_held(path)
    with LedgerWriter(tmp_path):
        assert is_held(path)
    assert not is_held(path)


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
    assert Known(read_ledgers(tmp_path)).standing([source("a", 1)]).ok.tolist() == [True]


@pytest.mark.parametrize("length", [1, 70_000])
def test_a_line_that_a_killed_process_left_unfinished_is_cut_off(tmp_path: Path, length: int) -> None:
    write(tmp_path, report(0, "a"))
    with (tmp_path / LEDGER_FILE).open("ab") as ledger:
        ledger.write(b'{"shard": 1, ' + b"x" * length)
    assert paths(read_ledgers(tmp_path)) == ["a"]
    write(tmp_path, report(2, "b"))
    assert paths(read_ledgers(tmp_path)) == ["a", "b"]


def test_a_ledger_of_an_unfinished_line_alone_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / LEDGER_FILE).parent.mkdir()
    (tmp_path / LEDGER_FILE).write_bytes(b'{"aedeploy_led')
    assert read_ledgers(tmp_path) is None
    write(tmp_path, report(0, "a"))
    assert read_ledgers(tmp_path) is not None


@pytest.mark.parametrize(
    "text", ["{}\n", "[1]\n", "not json\n", '{"aedeploy_ledger": 2, "fingerprint": {}, "request": {}}\n{}\n']
)
def test_a_damaged_ledger_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / LEDGER_FILE).parent.mkdir()
    (tmp_path / LEDGER_FILE).write_text(text)
    with pytest.raises(JobError, match=r"is damaged .*: name another folder, or empty this one"):
        read_ledgers(tmp_path)


def test_a_ledger_of_another_release_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / LEDGER_FILE).parent.mkdir()
    (tmp_path / LEDGER_FILE).write_text('{"aedeploy_ledger": 99}\n')
    with pytest.raises(JobError, match="another release"):
        read_ledgers(tmp_path)


def test_paths_of_any_bytes_come_back(tmp_path: Path) -> None:
    odd = [os.fsdecode(b"a\xff.png"), "ü\n.png", "𝔞.png"]
    write(tmp_path, report(0, *odd))
    assert paths(read_ledgers(tmp_path)) == odd


def test_two_jobs_at_once_are_refused(tmp_path: Path) -> None:
    with LedgerWriter(tmp_path), pytest.raises(JobError, match="Another job is writing to"):
        LedgerWriter(tmp_path)
    LedgerWriter(tmp_path).close()


def test_starting_again_empties_it(tmp_path: Path) -> None:
    write(tmp_path, report(0, "a"))
    write(tmp_path, report(0, "b"), restart=True)
    assert paths(read_ledgers(tmp_path)) == ["b"]


def test_a_line_that_does_not_fit_on_the_disk_leaves_no_half_of_it(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with LedgerWriter(tmp_path) as ledger:
        ledger.begin({"job": "encode"}, {})
        ledger.add(report(0, "a"))
        before = (tmp_path / LEDGER_FILE).read_bytes()
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50, hard))
        try:
            with pytest.raises(OSError, match="File too large"):
                ledger.add(report(1, *(f"{number}.png" for number in range(9000))))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / LEDGER_FILE).read_bytes() == before


def test_a_clock_that_is_set_back_does_not_make_what_came_later_the_earlier(tmp_path: Path) -> None:
    write(tmp_path, report(0, "a", failed=("a",)), report(1, "a"))
    lines = [json.loads(line) for line in (tmp_path / LEDGER_FILE).read_text().splitlines()]
    lines[2]["at"] = lines[1]["at"] - 3600
    (tmp_path / LEDGER_FILE).write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert Known(read_ledgers(tmp_path)).standing([Source(path="a", bytes=1, stamp=1, file="a")]).ok.tolist() == [True]


def test_a_time_of_any_century_is_one_like_others(tmp_path: Path) -> None:
    stamps = [-(10**18), 2**63 + 5, 2**64 - 1]
    members = tuple(Member(path=str(stamp), bytes=1, stamp=stamp, digest=DIGEST) for stamp in stamps)
    write(tmp_path, ShardReport(number=0, members=members, failures=()))
    asked = [Source(path=str(stamp), bytes=1, stamp=stamp, file="") for stamp in stamps]
    assert Known(read_ledgers(tmp_path)).standing(asked).same.tolist() == [True, True, True]
