"""``python -m rnnreport`` is the command line."""

import sys

from rnnreport.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
