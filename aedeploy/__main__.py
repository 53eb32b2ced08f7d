"""``python -m aedeploy`` is the command ``aedeploy``."""

from aedeploy.cli.app import main

if __name__ == "__main__":
    main()
