"""Sentences for a page that leaves this machine: without the paths that errors name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from aedeploy.bundle import Bundle

# Two parts or more from the root; in an address of the web, neither slash begins one.
_ABSOLUTE = re.compile(
    r"(?<![\w.:/<])/(?:[^\s/'\"`:;,()<>]+/)+([^\s/'\"`:;,()<>]*)|\b[A-Za-z]:\\(?:[^\s\\'\"]+\\)*([^\s\\'\"]*)"
)


class Paths:
    """``known``: the paths that a sentence is most likely to name. They may have spaces."""

    def __init__(self, known: Iterable[Path | None]) -> None:
        forms = {form: path.name for path in known if path is not None for form in _forms(path)}
        # The longest first: one may be in another.
        self._known = sorted(forms.items(), key=lambda pair: -len(pair[0]))

    def hidden(self, text: str) -> str:
        """The sentence, every absolute path in it shortened to its last name."""
        for form, name in self._known:
            text = text.replace(form, name)
        return _ABSOLUTE.sub(lambda match: match[1] or match[2] or "…", text)


def word_for(bundle: Bundle) -> str:
    """How a command names a bundle: as its folder is called."""
    return shlex.quote(bundle.path.absolute().name)


def _forms(path: Path) -> set[str]:
    """How a message may write a path; relative ones say nothing of the machine, and stay."""
    absolute = {str(path.absolute()), str(path.resolve())} - {"/"}
    return absolute | {shlex.quote(form) for form in absolute}
