"""backup.py, by idea: whole copies of a gallery, and people in a form that other programs can read."""
