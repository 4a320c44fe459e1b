"""Build or update a gallery from a folder of people: `python scripts/create_db.py FOLDER` (--help says more)."""

if __name__ == "__main__":
    from _launch import launch

    launch("facewire.server.maintenance.create_db")
