"""The command line of a checkout:  python cli.py …  is what  aedeploy …  is once installed."""

from aedeploy.__main__ import main

if __name__ == "__main__":
    main()
