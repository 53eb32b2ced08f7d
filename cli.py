"""The command line of a checkout:  python cli.py …  is what  aedeploy …  is once installed."""

from aedeploy.cli.app import main

if __name__ == "__main__":
    main()
