"""The web page: python web_app.py --server 127.0.0.1:5050 --port 8000 (--help says more)."""

if __name__ == "__main__":
    from protocol.launch import launch

    launch("facewire.client.web.main", "requirements-web.txt")
