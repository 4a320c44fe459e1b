"""Who is on these pictures, and how do they feel? `python client_app.py --help` tells how to ask."""

import os
import sys

if __name__ == "__main__":
    sys.path[0] = os.path.realpath(__file__ + "/..")
    from launch import launch

    launch("facewire.client.cli")
