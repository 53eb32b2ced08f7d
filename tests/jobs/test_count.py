from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aedeploy.bundle import Bundle
from aedeploy.jobs.count import NameCount, done_before, left_to_do
from aedeploy.jobs.plan import Plan, plan_job
from aedeploy.jobs.request import JobRequest
from aedeploy.jobs.sources import Selection, find_origin, list_inputs
from aedeploy.jobs.spec import Origin


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Images, what is none, hidden things, and links to files, to folders, and in circles."""
    root = tmp_path / "in"
    for name in ("a.png", "B.JPG", "notes.txt", ".hidden.png", "x/b.png", "x/y/c.tif", ".git/d.png", "odd.png/e.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "f.png").touch()
    (root / "link.png").symlink_to(root / "a.png")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "x" / "round").symlink_to(root)
    return root


def counted(origin: Origin, selection: Selection) -> int | None:
    count = NameCount(origin, selection)
    for thread in threading.enumerate():
        if thread.name == "counting":
            thread.join()
    return count.total


@pytest.mark.parametrize("links", ["follow", "files", "skip"])
@pytest.mark.parametrize("include", [(), ("*.png",)])
def test_it_comes_to_what_the_listing_comes_to(tree: Path, links: str, include: tuple[str, ...]) -> None:
    origin, selection = find_origin(str(tree)), Selection(include=include, links=links)  # type: ignore[arg-type]
    listed = sum(len(group.sources) for group in list_inputs(origin, selection))
    assert counted(origin, selection) == listed >= 3


def test_what_is_no_folder_is_not_counted(tree: Path) -> None:
    assert counted(find_origin(str(tree / "a.png")), Selection()) is None
    assert counted(Origin(kind="remote", location="memory://x"), Selection()) is None
    assert counted(Origin(kind="folder", location=str(tree / "gone")), Selection()) is None


def planned(bundle: Bundle, source: Path, **options: Any) -> Plan:
    request = JobRequest(job="encode", bundle=bundle, source=source, output=source.parent / "out", **options)
    return plan_job(request)


def test_what_is_left_is_known_from_the_count_and_then_from_the_listing(
    bundle: Bundle, run: Any, make_images: Callable[..., Path]
) -> None:
    folder = make_images("a.png", "b.png")
    run("encode")
    make_images(*(f"{number}.png" for number in range(10)))
    plan = planned(bundle, folder)
    assert done_before(plan) == 2
    assert left_to_do(plan, 0, None) is None
    assert left_to_do(plan, 4, 12) == 6
    for _ in plan.cutter.shards():
        pass
    assert left_to_do(plan, 4, None) == left_to_do(plan, 4, 1000) == 6
    assert done_before(planned(bundle, folder, overwrite=True)) == 0


def test_of_several_processes_each_has_its_share(bundle: Bundle, make_images: Callable[..., Path]) -> None:
    plan = planned(bundle, make_images("a.png"), part=(0, 4))
    assert left_to_do(plan, 10, 100) == 15
