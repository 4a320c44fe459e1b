"""Who is in a picture, without a server: python scripts/identify.py IMG [IMG ...] --db DB.

The same service answers as behind the socket, so the answers are the same. Output and exit codes are client_app.py's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

if __name__ == "__main__":  # started by its path, Python knows scripts/ but not the project around it
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
