"""Listings cut into shards: lazily, on a grid, and against what is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import pytest
from sink_rows import settings_of

from aedeploy.errors import ConfigError
from aedeploy.jobs.cut import CHANGED, WINDOW, Cutter, free_numbers
from aedeploy.jobs.known import Known
from aedeploy.jobs.ledger import WHOLE, Part, Record, Shard, packed
from aedeploy.jobs.sources import Group
from aedeploy.jobs.spec import Failure, Member, ShardSpec, Source

SETTINGS = settings_of("encode")


def source(number: int, stamp: int = 1) -> Source:
    return Source(path=f"{number:07d}.png", bytes=1, stamp=stamp, file=f"{number:07d}.png")


def groups(numbers: Sequence[int], size: int = 10) -> Iterator[Group]:
    for start in range(0, len(numbers), size):
        yield Group(sources=tuple(map(source, numbers[start : start + size])), closed=True)


def record(*shards: tuple[int, Sequence[int], Sequence[int]]) -> Record:
    """Shards: number, inputs, and which of them failed."""
    done = Record(fingerprint={}, request={})
    for number, inputs, failed in shards:
        members = [Member(path=source(one).path, bytes=1, stamp=1, digest="") for one in inputs]
        done.shards.append(
            Shard(
                number=number,
                at=0.0,
                inputs=len(members),
                outputs=(),
                failures=tuple(Failure(path=source(one).path, reason="broken") for one in failed),
                packed=packed(members),
            )
        )
    return done


def cutter(listing: Iterator[Group], done: Record | None = None, part: Part = WHOLE, images: int = 8) -> Cutter:
    taken = set(done.outputs) if done else set()
    return Cutter(
        settings=SETTINGS,
        groups=listing,
        known=Known(done),
        kept=taken,
        numbers=free_numbers(taken, part, lambda number: False),
        part=part,
        shard_images=images,
        batch_size=None,
        most_images=4,
        guard=lambda sources: None,
    )


def refuse(reason: str) -> None:
    raise ConfigError(reason)


def cut(one: Cutter) -> dict[int, list[int]]:
    """The inputs of every shard, by its number."""
    one.look_ahead(refuse)
    return {spec.number: inputs(spec) for spec in one.shards()}


def inputs(spec: ShardSpec) -> list[int]:
    return [int(source.path[:7]) for source in spec.sources]


ALL = list(range(50))
WHOLE_RUN = {number: ALL[8 * number : 8 * number + 8] for number in range(7)}


def test_all_inputs_are_in_shards_in_their_order() -> None:
    one = cutter(groups(ALL))
    assert cut(one) == WHOLE_RUN
    assert (one.seen.inputs, one.seen.to_do, one.seen.done, one.seen.shards, one.seen.complete) == (50, 50, 0, 7, True)


def test_whatever_was_finished_before_the_rest_is_cut_as_it_would_have_been() -> None:
    for finished in ({0}, {3, 5}, {6}, {0, 1, 2, 3, 4, 5}, set(WHOLE_RUN)):
        done = record(*((number, WHOLE_RUN[number], ()) for number in finished))
        one = cutter(groups(ALL), done)
        assert cut(one) == {number: WHOLE_RUN[number] for number in WHOLE_RUN if number not in finished}
        assert one.seen.done == sum(len(WHOLE_RUN[number]) for number in finished)


def test_what_an_interrupt_left_of_a_shard_moves_no_other() -> None:
    done = record((0, ALL[:5], ()), (1, ALL[8:16], ()))
    assert list(cut(cutter(groups(ALL), done)).values()) == [[5, 6, 7], *(WHOLE_RUN[number] for number in range(2, 7))]


def test_what_failed_is_tried_again_at_the_end() -> None:
    done = record((0, WHOLE_RUN[0], (2, 3)), (1, WHOLE_RUN[1], (9,)))
    assert list(cut(cutter(groups(ALL), done)).values())[-1] == [2, 3, 9]


def test_several_processes_share_the_cells_and_the_numbers() -> None:
    shares = [cut(cutter(groups(ALL), part=(number, 3))) for number in range(3)]
    assert [sorted(share) for share in shares] == [[0, 3, 6], [1, 4], [2, 5]]
    assert {number: cell for share in shares for number, cell in share.items()} == WHOLE_RUN
    one = cutter(groups(ALL), part=(1, 3))
    cut(one)
    assert (one.seen.inputs, one.seen.elsewhere) == (16, 34)


def test_a_listing_is_not_run_through_before_the_first_shard_is_given() -> None:
    listed = 0

    def endless() -> Iterator[Group]:
        nonlocal listed
        while True:
            yield Group(sources=tuple(source(listed + number) for number in range(100)), closed=True)
            listed += 100

    one = cutter(endless())
    one.look_ahead(refuse)
    assert listed <= WINDOW
    shards = one.shards()
    for _ in range(1000):
        next(shards)
    assert not one.seen.complete
    assert listed <= WINDOW


def test_a_done_input_that_changed_refuses_the_job_or_fails_if_it_is_far_on() -> None:
    done = record((0, [3], ()), (1, [WINDOW + 5], ()))

    def changed(number: int) -> Iterator[Group]:
        listing = (source(one, stamp=2 if one == number else 1) for one in range(WINDOW + 100))
        while group := tuple(islice(listing, 64)):
            yield Group(sources=group, closed=True)

    with pytest.raises(ConfigError, match=r"1 of the inputs that are done in out changed since, such as 0000003\.png"):
        cutter(changed(3), done).look_ahead(refuse)
    one = cutter(changed(WINDOW + 5), done)
    cut(one)
    assert [(failure.path, failure.reason) for failure in one.seen.failures] == [
        (source(WINDOW + 5).path, CHANGED),
    ]


def test_what_only_the_first_of_several_processes_counts() -> None:
    listing = [Group(sources=(source(0),), failures=(Failure(path="x", reason="y"),), others=("a.txt",))]
    seen = []
    for number in range(2):
        one = cutter(iter(listing), part=(number, 2))
        cut(one)
        seen.append((len(one.seen.failures), one.seen.others, one.seen.inputs))
    assert seen == [(1, 1, 2), (0, 0, 0)]


def test_contents_that_travel_with_a_shard_bound_it() -> None:
    large = b"x" * (5 * 2**20)
    sources = tuple(
        Source(path=f"{number:07d}.png", bytes=len(large), stamp=1, file="a.tar.gz", data=large) for number in range(10)
    )
    assert cut(cutter(iter([Group(sources=sources)]))) == {0: [0, 1, 2, 3], 1: [4, 5, 6, 7], 2: [8, 9]}


def carried(megabytes: int, listed: list[int], number: int = 10) -> Iterator[Group]:
    """Groups of one input each, which carries its content."""
    content = bytes(megabytes * 2**20)
    for one in range(number):
        listed.append(one)
        path = source(one).path
        yield Group(sources=(Source(path=path, bytes=1, stamp=1, file="a.tar.gz", data=content),))


def test_of_contents_that_travel_only_so_much_is_looked_at_first() -> None:
    listed: list[int] = []
    one = cutter(carried(16, listed))
    one.look_ahead(refuse)
    assert len(listed) == 4
    assert sum(len(spec.sources) for spec in one.shards()) == 10
    assert not one._window


def test_contents_that_failed_before_are_not_held_to_the_end() -> None:
    listed: list[int] = []
    one = cutter(carried(8, listed), record((0, range(10), range(10))))
    first = next(one.shards())
    assert (inputs(first), len(listed)) == ([0, 1], 2)
