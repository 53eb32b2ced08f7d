"""How much memory there is, by the files in which the kernel says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from aedeploy.runtime import memory


def group(folder: Path, names: tuple[str, str], most: str, used: int, cache: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{most}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(cache)


def test_there_is_some() -> None:
    assert 2**20 < memory.available_memory() < 2**50


@pytest.mark.parametrize("inner", ["max", "3000000"])
def test_the_tightest_of_all_groups_around_a_process_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inner: str
) -> None:
    own = Path("/proc/self/cgroup").read_text()
    path = next((line.split(":", 2)[2] for line in own.splitlines() if line.startswith("0::")), None)
    if path is None:
        pytest.skip("this system has no control groups of version 2")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    names = ("memory.max", "memory.current")
    group(tmp_path, names, "5000000", 4000000, "anon 7\ninactive_file 500000\n")
    group(tmp_path / path.lstrip("/") if path != "/" else tmp_path / "none", names, inner, 1000000, "inactive_file 0\n")
    assert memory.available_memory() == 1500000


def test_where_nothing_says_a_little_is_assumed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_of_machine", lambda: None)
    monkeypatch.setattr(memory, "_of_groups", lambda: [None])
    assert memory.available_memory() == 2 * 2**30
