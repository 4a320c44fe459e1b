"""How right are the answers? `python scripts/evaluate.py lfw | openset | ...` (--help says more)."""

if __name__ == "__main__":
    from _launch import launch

    launch("lab.evaluate")
