"""Make the cohort that similarities are held against: `python scripts/train_cohort.py` (--help says more)."""

if __name__ == "__main__":
    from _launch import launch

    launch("lab.train_cohort")
