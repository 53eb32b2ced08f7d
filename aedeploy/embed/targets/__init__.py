"""Targets: one module each, its first docstring line its description, with

FORMATS: tuple[str, ...]    the export formats that its programs run, the usual one first
NEEDS: str                  what must be there to build and to run one
NEXT: tuple[str, ...]       the commands that come next, in the program's folder
OPTIONS: tuple[str, ...]    the options of `aedeploy embed` that are this target's own, without dashes (may be left out)
def files(program: Program) -> dict[str, bytes]     all but the graphs and the golden vectors, by path

The first four are literals, so that they are listed without importing anything.
"""
