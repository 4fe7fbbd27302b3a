"""``python -m kjobs``: the same as the ``kjobs`` command."""

from .cli import main

if __name__ == "__main__":
    main()
