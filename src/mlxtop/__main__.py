"""`python -m mlxtop`."""

from mlxtop.cli.main import main

if __name__ == "__main__":
    main()
