"""Every error that aedeploy raises on purpose.

    AedeployError                   the root: catch this one to catch them all
      ConfigError                   an option, a recipe or a combination of them that cannot work
        UnknownNameError            a name that is not among the known ones
        PictureError                a picture that does not apply to the model or its images
      MissingDependencyError        an optional package that is not installed
      BusyError                     another process is at work on the same folder
      BundleError                   a bundle that is absent or cannot be used
        ManifestError               its manifest is missing, malformed, or of a newer schema
        IntegrityError              a file is missing, truncated, altered, or not this bundle's
      ExportError                   a model that cannot be exported as asked
        LintError                   the lint found what a graph would compute wrongly
      ParityError                   an exported graph does not compute what PyTorch computes
      BackendError                  a runtime or device that was asked for cannot run
      TrainingError                 training cannot go on
      ImageError                    one file that cannot be read as an image
      JobError                      a batch job that cannot start or go on
        NothingToDoError            nothing matched the input

A message is one sentence or two: what is wrong, then what to do. ``exit_code`` is what the command line
ends with when the error reaches it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, ClassVar


class AedeployError(Exception):
    """The root of all errors raised on purpose."""

    exit_code: ClassVar[int] = 1


class ConfigError(AedeployError):
    """An option, a recipe, or a combination of them that cannot work."""

    exit_code = 2


class UnknownNameError(ConfigError):
    """A name that is not among the known ones; the message lists them and offers the nearest."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        self.what, self.name, self.known = what, name, sorted(known)
        hint = did_you_mean(name, self.known)
        super().__init__(f"There is no {what} {name!r}{hint}. Known: {', '.join(self.known) or 'none'}.")


class PictureError(ConfigError):
    """A picture that does not apply to the model or its images; the message says why."""


class MissingDependencyError(AedeployError):
    """An optional package that is not installed; the message gives the line that installs it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed: "
            f"run  pip install 'aedeploy[{extra}]'  (in a checkout:  pip install '.[{extra}]')."
        )


class BusyError(AedeployError):
    """Another process is at work on the same folder."""


class BundleError(AedeployError):
    """A bundle that is absent or cannot be used."""


class ManifestError(BundleError):
    """A manifest that is missing, malformed, or of a newer schema."""


class IntegrityError(BundleError):
    """A file of a bundle that is missing, truncated, altered, or another bundle's."""

    exit_code = 5


class ExportError(AedeployError):
    """A model that cannot be exported as asked."""


class LintError(ExportError):
    """A model of which the lint found what its graphs would compute wrongly; ``findings`` holds what it found."""

    def __init__(self, message: str, findings: Any) -> None:
        super().__init__(message)
        self.findings = findings


class ParityError(AedeployError):
    """An exported graph that does not compute what PyTorch computes; ``report`` holds the figures."""

    exit_code = 5

    def __init__(self, message: str, report: Any) -> None:
        super().__init__(message)
        self.report = report


class BackendError(AedeployError):
    """A runtime or a device that was asked for and cannot run."""


class TrainingError(AedeployError):
    """Training that cannot go on, such as one whose loss is no longer a number."""


class ImageError(AedeployError):
    """One file that cannot be read as an image."""


class JobError(AedeployError):
    """A batch job that cannot start or go on."""


class NothingToDoError(JobError):
    """Nothing matched the input."""

    exit_code = 4


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``" (did you mean 'x'?)"`` for the nearest of ``known``, or an empty string when none is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""
