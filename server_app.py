"""Serve: python server_app.py --port 5050 (--help says more)."""

if __name__ == "__main__":
    from protocol.launch import launch

    launch("facewire.server.start")
