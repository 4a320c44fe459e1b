"""The version of facewire: said here and nowhere else (pyproject.toml reads it). The wire's own is in README.md."""

VERSION = "0.2.0"
