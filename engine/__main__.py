"""``python -m engine`` and ``microburst``: the command line."""

import sys
from pathlib import Path

# Python looks for modules in the current directory first. A file there that is called like a library (a strategy in
# signal.py, say) must not be taken for it, so that directory is left out, unless it is the one this package lies in.
searched_first, own = Path(sys.path[0]).resolve(), Path(__file__).resolve().parents[1]
if __name__ == "__main__" and not sys.flags.safe_path and searched_first != own:
    del sys.path[0]


def main() -> None:
    """Run the command line; Ctrl-C while it is still being loaded is an ending like any other."""
    try:
        from engine import cli
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        sys.exit(130)
    cli.main()


if __name__ == "__main__":
    main()
