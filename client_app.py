"""Who is on these pictures, and how do they feel? `python client_app.py --help` tells how to ask."""

if __name__ == "__main__":
    from protocol.launch import launch

    launch("facewire.client.cli")
