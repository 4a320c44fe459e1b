"""The web page: python web_app.py --server 127.0.0.1:5050 --port 8000 (--help says more)."""

import os
import sys

if __name__ == "__main__":
    sys.path[0] = os.path.realpath(__file__ + "/..")
    from launch import launch

    launch("facewire.client.web.main", "requirements-web.txt")
