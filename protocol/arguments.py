"""The argument parser of every command: harmless complaints, and what a mistyped word may have meant."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn

from facewire.protocol.text import did_you_mean, printable
from facewire.protocol.version import VERSION


class Parser(argparse.ArgumentParser):
    """argparse's, but that what was typed is shown as `printable` shows it, and near words are suggested."""

    hint = ""
    """Follows every complaint."""

    def tell_version(self) -> None:
        """Take --version, as every command does."""
        self.add_argument("--version", action="version", version=f"facewire {VERSION}", help="show facewire's version")

    def error(self, message: str) -> NoReturn:
        """As argparse's own, made harmless."""
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: error: {printable(message + self.hint)}\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            raise argparse.ArgumentError(
                action, f"there is no '{value}'{did_you_mean(str(value), known)} (choose from {', '.join(known)})"
            )
