"""`python -m segsearch` is the command line."""

from segsearch.cli import main

if __name__ == "__main__":
    main()
