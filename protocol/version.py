"""The version of facewire, defined only here (pyproject.toml reads it). The wire's own version is in README.md."""

VERSION = "0.2.0"
