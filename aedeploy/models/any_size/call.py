"""One call of an operator, as its rule sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from aedeploy.models.any_size.reach import Traced, Unbounded

#: Why some have no bound, for a person.
_GLOBAL = {
    "native_group_norm": "group normalisation, which takes in the whole image",
    "native_batch_norm": "normalisation by the image's own mean and variance",
    "_native_batch_norm_legit": "normalisation by the image's own mean and variance",
    "bmm": "a product of the image with itself, such as attention",
    "_scaled_dot_product_flash_attention_for_cpu": "attention, which takes in the whole image",
    "_adaptive_avg_pool2d": "pooling over the whole image",
    "upsample_bicubic2d": "bicubic resizing",
}


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of an operator: its arguments by their names, what it gave, and which tensors were made of the image."""

    name: str
    arguments: dict[str, Any]
    output: Any
    is_pointwise: bool
    traced_of: Callable[[Tensor], Traced | None]
    is_uniform: Callable[[Tensor], bool]  # one value throughout

    def __getitem__(self, argument: str) -> Any:
        return self.arguments.get(argument)

    def traced(self, argument: str) -> Traced:
        """An argument that is made of the image.

        Raises:
            Unbounded: it is not: the image comes in where weights would be.
        """
        value = self[argument]
        found = self.traced_of(value) if isinstance(value, Tensor) else None
        if found is None:
            raise self.unbounded()
        return found

    def image(self, argument: str = "self") -> Traced:
        found = self.traced(argument)
        if not found.is_image:
            raise self.unbounded()
        return found

    def fixed(self, *arguments: str) -> None:
        """Raise where one of these is made of the image too."""
        if any(isinstance(self[name], Tensor) and self.traced_of(self[name]) for name in arguments):
            raise self.unbounded()

    def unbounded(self) -> Unbounded:
        said = f"the operator {self.name}, of which it is not known how far it reaches"
        return Unbounded(_GLOBAL.get(self.name, said))

    @property
    def shape(self) -> Sequence[int]:
        output = self.output[0] if isinstance(self.output, tuple | list) else self.output
        return tuple(output.shape)
