"""How docs/embedding.md judges outputs, carried out; see specified.py."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from embed.specified import Tensor

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Bound:
    """The tolerance of one output; None: no bound of that sort."""

    absolute: float | None
    relative: float = 0.0
    norm: float | None = None
    psnr: float | None = None


@dataclass(frozen=True)
class Bounds:
    """The row of a format in the table of tolerances."""

    image: Bound
    latent: Bound
    logvar: Bound
    decisions: float
    changed: float | None

    def of(self, output: str) -> Bound:
        found: Bound = getattr(self, {"reconstruction": "image"}.get(output, output))
        return found


FLOAT32 = Bounds(image=Bound(1e-5), latent=Bound(1e-5, 1e-5), logvar=Bound(1e-5, 1e-5), decisions=0.001, changed=0.0001)
FLOAT16 = Bounds(
    image=Bound(5e-3, psnr=50.0),
    latent=Bound(1e-2, 1e-2, norm=5e-3),
    logvar=Bound(1e-2, 1e-2, norm=5e-3),
    decisions=0.02,
    changed=None,
)
INT8 = Bounds(
    image=Bound(None, psnr=35.0),
    latent=Bound(None, norm=0.1),
    logvar=Bound(None, norm=0.1),
    decisions=0.1,
    changed=None,
)


@dataclass
class Total:
    """Of an output of a graph, over all of its cases, what was judged."""

    squares: float = 0.0
    golden: float = 0.0
    values: int = 0
    changed: int = 0


@dataclass
class Judge:
    """Judges the cases of one graph, one after the other, and then all together."""

    bounds: Bounds
    masked: bool
    totals: dict[str, Total] = field(default_factory=dict)
    passed: bool = True

    def case(self, got: Tensors, want: Tensors) -> bool:
        """Whether one case passed."""
        if set(got) != set(want):
            self.passed = False
            return False
        # All of them, also behind one that failed: each has its part in the totals.
        found = [self._output(name, got, want) for name in want]
        passed = all(found)
        self.passed = self.passed and passed
        return passed

    def _output(self, name: str, got: Tensors, want: Tensors) -> bool:
        mine, golden = got[name], want[name]
        if (mine.dtype, mine.shape) != (golden.dtype, golden.shape) or not all(map(math.isfinite, mine.values)):
            return False
        count = len(golden.values)
        if name == "indices":
            otherwise = sum(a != b for a, b in zip(mine.values, golden.values, strict=True))
            return otherwise <= allowed(1, self.bounds.decisions, count)
        bound = self.bounds.of(name)
        limit = bounded(bound, golden.values)
        judged = [True] * count
        if name == "latent" and "indices" in want:
            judged = agreeing(got["indices"], want["indices"], golden.shape)
        elif name == "latent" and self.masked:
            marginal = flipped(mine, golden, limit)
            if sum(marginal) > allowed(2, self.bounds.decisions, count):
                return False
            judged = [not flip for flip in marginal]
        pairs = [(a, b) for a, b, counts in zip(mine.values, golden.values, judged, strict=True) if counts]
        self._add(name, pairs)
        error = max((abs(a - b) for a, b in pairs), default=0.0)
        return error <= limit * (1 + 1e-9)

    def _add(self, name: str, pairs: Sequence[tuple[float, float]]) -> None:
        total = self.totals.setdefault(name, Total())
        total.squares += sum((a - b) ** 2 for a, b in pairs)
        total.golden += sum(b**2 for _, b in pairs)
        total.values += len(pairs)
        total.changed += sum(round(255 * a) != round(255 * b) for a, b in pairs)

    def verdict(self) -> bool:
        """Whether the graph passed."""
        return self.passed and all(self._together(name, total) for name, total in self.totals.items())

    def _together(self, name: str, total: Total) -> bool:
        bound = self.bounds.of(name)
        if bound.norm is not None and math.sqrt(total.squares) > bound.norm * math.sqrt(2 * total.golden):
            return False
        if name not in ("image", "reconstruction") or not total.squares:
            return True
        if bound.psnr is not None and -10 * math.log10(total.squares / total.values) < bound.psnr - 10 * math.log10(2):
            return False
        most = self.bounds.changed
        return most is None or total.changed <= max(most * total.values, 2)


def bounded(bound: Bound, golden: Sequence[float]) -> float:
    if bound.absolute is None:
        return math.inf
    return bound.absolute + bound.relative * max((abs(value) for value in golden), default=0.0)


def allowed(least: int, share: float, count: int) -> int:
    return min(max(least, int(share * count)), max(count - 1, 0))


def agreeing(got: Tensor, want: Tensor, latent: tuple[int, ...]) -> list[bool]:
    """Of a latent [batch, D, h, w], the entries at whose place the indices [batch, h, w] are equal."""
    batch, channels = latent[:2]
    places = math.prod(latent[2:])
    same = [a == b for a, b in zip(got.values, want.values, strict=True)]
    return [same[row * places + place] for row in range(batch) for _ in range(channels) for place in range(places)]


def flipped(got: Tensor, want: Tensor, limit: float) -> list[bool]:
    """Of a masked latent, the entries that one of the two has left out, as a choice between equals may."""
    batch, channels = want.shape[:2]
    places = math.prod(want.shape[2:])

    def entries(row: int, place: int) -> list[int]:
        return [(row * channels + channel) * places + place for channel in range(channels)]

    def size(at: int) -> float:
        return want.values[at] or got.values[at] or math.inf

    least_of_all = min(map(size, range(len(want.values))), default=math.inf)
    found = [False] * len(want.values)
    for row in range(batch):
        for place in range(places):
            here = entries(row, place)
            as_many = sum(got.values[at] != 0 for at in here) == sum(want.values[at] != 0 for at in here)
            least = min(map(size, here)) if as_many else least_of_all
            for at in here:
                one_of_them = (got.values[at] != 0) != (want.values[at] != 0)
                apart = abs(got.values[at] - want.values[at]) > (limit if limit < math.inf else 0.0)
                found[at] = one_of_them and apart and (limit == math.inf or size(at) <= least + limit)
    return found


def wanted_of_autoencoder(
    got: Tensor, golden: Tensor, code: Tensors, golden_code: Tensors, decode: Callable[[int], Sequence[float]]
) -> Tensor:
    """The golden images, but where the encoder chose otherwise and that is nearer, what the decoder makes of that.

    ``decode(row)`` gives the image of that row of the encoder's own latent.
    """
    name = "indices" if "indices" in golden_code else "latent"
    mine, theirs = code[name].values, golden_code[name].values
    if name == "latent":
        mine, theirs = [value != 0 for value in mine], [value != 0 for value in theirs]
    batch = golden.shape[0]
    code_size, image_size = len(theirs) // batch, len(golden.values) // batch
    wanted = list(golden.values)
    for row in range(batch):
        its_code = slice(row * code_size, (row + 1) * code_size)
        if list(mine[its_code]) == list(theirs[its_code]):
            continue
        its_image = slice(row * image_size, (row + 1) * image_size)
        other, is_now = decode(row), got.values[its_image]
        if distance(is_now, other) < distance(is_now, wanted[its_image]):
            wanted[its_image] = other
    return Tensor(golden.dtype, golden.shape, wanted)


def distance(one: Sequence[float], other: Sequence[float]) -> float:
    return max((abs(a - b) for a, b in zip(one, other, strict=True)), default=0.0)
