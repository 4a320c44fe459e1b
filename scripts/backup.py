"""Copies of a gallery: `python scripts/backup.py save | check | restore | export | import` (--help says more)."""

if __name__ == "__main__":
    from _launch import launch

    launch("facewire.server.maintenance.backup_command")
