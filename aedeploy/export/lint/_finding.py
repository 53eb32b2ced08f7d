"""What a rule says of a model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any, Literal

Severity = Literal["error", "warning"]


class Stage(IntEnum):
    """When a rule is asked. Where one of a stage finds an error, no later stage is asked."""

    RUNS = 1  # it runs the model
    READS = 2  # it reads the captured graphs: a model that does not run has none
    LAST = 3  # it is asked where no other rule found an error: those name what is behind it


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong, or likely to be: an error refuses the export, a warning is shown."""

    rule: str
    severity: Severity
    where: str  # the module's path in the user's own model and its class; a line of their code, where one is known
    what: str  # what is wrong there, as a sentence without its full stop
    remedy: str  # what to do, likewise

    def __str__(self) -> str:
        return f"{self.where}: {self.what} ({self.rule}). {self.remedy}."

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for ``--json``."""
        return asdict(self)
