"""``python -m mock_server``, and the console script ``microburst-mock``."""

from mock_server.cli import main

if __name__ == "__main__":
    main()
