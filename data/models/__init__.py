"""The networks and the cohort that ship with facewire: files, described in README.md beside this one."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parent
