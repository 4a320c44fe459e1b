"""Serve: python server_app.py --port 5050 (--help says more)."""

import os
import sys

if __name__ == "__main__":
    sys.path[0] = os.path.realpath(__file__ + "/..")
    from launch import launch

    launch("facewire.server.app")
