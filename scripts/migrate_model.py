"""Move a gallery to another model: `python scripts/migrate_model.py --to MODEL` (--help says more)."""

if __name__ == "__main__":
    from _launch import launch

    launch("facewire.server.maintenance.migrate_model")
