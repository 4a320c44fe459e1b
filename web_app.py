"""The web page: python web_app.py --server 127.0.0.1:5050 --port 8000 (--help says more)."""

import sys

from client.web.main import main

if __name__ == "__main__":
    sys.exit(main())
