"""The command, as ``python -m nettriage``."""

import sys

from nettriage.cli import main

sys.exit(main())
