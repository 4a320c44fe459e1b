"""Serve: python server_app.py --port 5050 (--help says more)."""

import sys

from server.app import main

if __name__ == "__main__":
    sys.exit(main())
