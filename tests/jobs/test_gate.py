from __future__ import annotations

import threading

from aedeploy.jobs.gate import ReadingGate


def burn() -> None:
    """Use some processor time: hundreds of times what makes an image a cheap one."""
    sum(range(2_000_000))


def inside_at_once(gate: ReadingGate, threads: int, seconds: float) -> bool:
    """Whether all of ``threads`` get in together: they meet at a barrier that only all of them can pass.

    ``seconds`` is how long one waits there for the others: long where they are expected.
    """
    barrier = threading.Barrier(threads)
    met = []

    def enter() -> None:
        with gate.reading(1):
            burn()
            try:
                barrier.wait(seconds)
                met.append(True)
            except threading.BrokenBarrierError:
                met.append(False)

    crowd = [threading.Thread(target=enter) for _ in range(threads)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    return all(met)


def test_images_that_cost_something_are_read_side_by_side() -> None:
    assert inside_at_once(ReadingGate(3), 3, seconds=60)


def test_cheap_images_are_read_by_one_thread_until_they_cost_something_again() -> None:
    gate = ReadingGate(2)
    with gate.reading(1_000_000):
        pass
    assert not inside_at_once(gate, 2, seconds=0.2)
    # What was read last was not cheap.
    assert inside_at_once(gate, 2, seconds=60)


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
