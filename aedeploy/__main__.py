"""The command ``aedeploy``, also as ``python -m aedeploy``."""

import sys

from aedeploy.cli.interrupts import interrupts_wait


def main() -> None:
    """Entry point of the command."""
    try:
        with interrupts_wait():
            from aedeploy.cli.app import main as run
    except KeyboardInterrupt:
        sys.stderr.write("Error: Interrupted.\n")
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
