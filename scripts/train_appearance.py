"""Make what tells faces from other things: `python scripts/train_appearance.py` (--help says more)."""

if __name__ == "__main__":
    from _launch import launch

    launch("lab.train_appearance")
