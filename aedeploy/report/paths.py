"""Sentences for a page that leaves this machine: without the paths that errors name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from aedeploy.bundle import Bundle

# An address of the web, which stays.
_ADDRESS = r"\b(?!file:)[a-z][a-z\d+.-]+://[^\s/'\"`<>,;][^\s'\"`<>,;]*"
_FILE = r"\bfile:/[^\s'\"`<>,;()]*[^\s'\"`<>,;():.]"
# Between the quotes that a path was written in, it may have spaces.
_QUOTED = r"(?P<quote>['\"`])(?P<quoted>(?:~?/+[^/\n'\"`]+/|[a-z]:[\\/]|\\\\)(?:(?!(?P=quote)).)*)(?P=quote)"
# A last part ends where the sentence goes on; a folder's name may have commas and the like within it.
_LAST = r"(?:\\ |[^\s\\/'\"`:;,()<>|])*"
_FOLDERS = r"(?:(?:\\ |[^\s\\/'\"`<>|])*[^\s\\/'\"`<>|:;,(=]/+)"
_WINDOWS_FOLDERS = r"(?:[^\s\\/:*?'\"`<>|]+/+|[^\n\\/:*?'\"`<>|]*[^\s\\/:*?'\"`<>|]\\+)*"
_DRIVE = rf"(?:(?<!\\)\\\\+[?.]\\+)?(?<![\w.-])[a-z]:[\\/]+(?=[^\s\\/]){_WINDOWS_FOLDERS}{_LAST}"
_SHARE = rf"(?<![\w\\])\\\\+[\w.$?-]+\\+{_WINDOWS_FOLDERS}{_LAST}"
# What a slash follows that begins no path: "images/s", "./a/b", "N(0, 1)/x", "**/x".
_NO_ROOT_AFTER = r"(?<![\w.…)\]}*/])"
# Two parts or more from the root.
_ABSOLUTE = rf"{_NO_ROOT_AFTER}~?/+{_FOLDERS}+{_LAST}"

_PATHS = "|".join((_FILE, _DRIVE, _SHARE, _ABSOLUTE))
# The folder of a user is called as the user is.
_HOME = re.compile(r"(?:/home|/users|\b[a-z]:[\\/]+users)[\\/]+[^\\/]+", re.IGNORECASE)


class Paths:
    """``known``: the paths that a sentence is most likely to name. They may have spaces, even where no quotes are."""

    def __init__(self, known: Iterable[Path | None]) -> None:
        homes = _forms(Path.home())
        self._names = {
            form: "~" if form in homes or _HOME.fullmatch(form) else path.name
            for path in known
            if path is not None
            for form in _forms(path)
        }
        # The longest first: one may be in another.
        forms = sorted(self._names, key=len, reverse=True)
        starts = "|".join(("" if form.count("/") > 1 else _NO_ROOT_AFTER) + re.escape(form) for form in forms) or "(?!)"
        below = rf"(?P<below>/+{_FOLDERS}*{_LAST}|\\+(?=[^\s\\/]){_WINDOWS_FOLDERS}{_LAST})|(?![\w-]|\.\w)"
        self._pattern = re.compile(
            rf"(?P<address>{_ADDRESS})|(?P<known>(?-i:{starts}))(?:{below})|{_QUOTED}|(?P<path>{_PATHS})", re.IGNORECASE
        )

    def hidden(self, text: str) -> str:
        """The sentence, every absolute path in it shortened to its last name; a user's own folder is ``~``.

        Without quotes, a path that is not below a known one ends at its first space.
        """
        return self._pattern.sub(self._shortened, text)

    def _shortened(self, match: re.Match[str]) -> str:
        if match["address"]:
            return match["address"]
        if match["known"]:
            name = self._names[match["known"]]
            return _last(match["below"], name) if match["below"] else name
        if match["quote"]:
            return f"{match['quote']}{_last(match['quoted'])}{match['quote']}"
        return _last(match["path"])


def word_for(bundle: Bundle) -> str:
    """How a command names a bundle: as its folder is called."""
    return shlex.quote(bundle.path.absolute().name)


def _last(path: str, otherwise: str = "…") -> str:
    """The last name in a path, and the full stop of the sentence that ends with it."""
    whole = path.rstrip(".")
    stop, whole = path[len(whole) :], whole.rstrip("\\/")
    if _HOME.fullmatch(re.sub(r"^file:/+(?=/|[a-z]:)", "", whole, flags=re.IGNORECASE)):
        return f"~{stop}"
    name = re.split(r"/" if whole.startswith(("/", "~")) else r"[\\/]", whole)[-1]
    return (name or otherwise) + stop


def _forms(path: Path) -> set[str]:
    """How a message may write a path; relative ones say nothing of the machine, and stay."""
    absolute = {str(path.absolute()), str(path.resolve())} - {"/"}
    return absolute | {shlex.quote(form) for form in absolute}
