"""How fast is it? `make bench`, or `python scripts/benchmark.py` (--help says more)."""

if __name__ == "__main__":
    from _launch import launch

    launch("lab.benchmark", "requirements-bench.txt")
