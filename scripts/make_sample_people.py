"""Draw the people of data/sample: `python scripts/make_sample_people.py` (--help says more)."""

if __name__ == "__main__":
    from _launch import launch

    launch("lab.make_sample_people")
