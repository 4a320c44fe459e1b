"""Who is on these pictures, and how do they feel? `python client_app.py --help` tells how to ask."""

import sys

from client.cli import main

if __name__ == "__main__":
    sys.exit(main())
