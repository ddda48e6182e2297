"""Lets ``python -m twonn`` be the command."""

from twonn.cli import main

if __name__ == "__main__":
    main()
