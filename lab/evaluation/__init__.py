"""The sub-commands of `scripts/evaluate.py`: each module has `HELP`, `add_arguments` and `run`, a report."""
