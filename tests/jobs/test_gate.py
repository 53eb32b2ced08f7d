from __future__ import annotations

import sys
import threading
import traceback

from aedeploy.jobs.gate import ReadingGate

# A guard against a test that hangs, far beyond the moment that it takes.
PATIENCE = 60


class Clock:
    """A clock that stands still, but for what reading costs."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def read(gate: ReadingGate, clock: Clock, *, images: int = 1, cost: float) -> None:
    with gate.reading(images):
        clock.now += cost * images


def all_get_in_together(gate: ReadingGate, threads: int) -> bool:
    """Whether ``threads`` are inside at a time: they meet at a barrier that only all of them can pass."""
    barrier = threading.Barrier(threads)
    met = []

    def enter() -> None:
        with gate.reading(1):
            try:
                barrier.wait(PATIENCE)
                met.append(True)
            except threading.BrokenBarrierError:
                met.append(False)

    crowd = [threading.Thread(target=enter) for _ in range(threads)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    return all(met)


def second_has_to_wait(gate: ReadingGate) -> bool:
    """Whether a thread waits while this one is inside; it must get in when this one has left."""
    entered = threading.Event()

    def enter() -> None:
        with gate.reading(1):
            entered.set()

    second = threading.Thread(target=enter)
    with gate.reading(1):
        second.start()
        # It ends up at one or the other, however long that takes.
        while not entered.is_set() and not waits(second):
            pass
        waited = not entered.is_set()
    second.join(PATIENCE)
    assert entered.is_set()
    return waited


def waits(thread: threading.Thread) -> bool:
    """Whether a thread has gone to sleep at a condition."""
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and any(step.f_code.co_name == "wait" for step, _ in traceback.walk_stack(frame))


def test_images_that_cost_something_are_read_side_by_side() -> None:
    clock = Clock()
    gate = ReadingGate(3, clock)
    assert all_get_in_together(gate, 3)
    gate = ReadingGate(3, clock)
    read(gate, clock, images=100, cost=200e-6)
    assert all_get_in_together(gate, 3)


def test_cheap_images_are_read_by_one_thread_until_they_cost_something_again() -> None:
    clock = Clock()
    gate = ReadingGate(2, clock)
    assert not second_has_to_wait(gate)
    read(gate, clock, images=100, cost=50e-6)
    assert second_has_to_wait(gate)
    # What was read last was not cheap.
    read(gate, clock, images=100, cost=200e-6)
    assert not second_has_to_wait(gate)


def test_the_cost_is_that_of_an_image_and_not_of_a_chunk() -> None:
    clock = Clock()
    gate = ReadingGate(2, clock)
    read(gate, clock, images=1, cost=200e-6)
    assert not second_has_to_wait(gate)
    read(gate, clock, images=1000, cost=50e-6)
    assert second_has_to_wait(gate)


def test_its_own_clock_finds_that_no_work_is_cheap() -> None:
    gate = ReadingGate(2)
    with gate.reading(1_000_000_000):
        pass
    assert second_has_to_wait(gate)


def test_an_error_inside_gives_the_place_back() -> None:
    gate = ReadingGate(1)
    for _ in range(2):
        try:
            with gate.reading(1):
                raise ValueError
        except ValueError:
            continue
    with gate.reading(1):
        pass
