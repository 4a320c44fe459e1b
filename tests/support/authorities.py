"""Certificates for tests: an authority of their own, and what it signs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import trustme

from facewire.server.tcp.certificates import Certificates


@dataclass(frozen=True, slots=True)
class Files:
    """A certificate and its key, and the authority that signed it."""

    cert: Path
    key: Path
    ca: Path

    def serve(self, client_ca: Path | None = None) -> Certificates:
        return Certificates(self.cert, self.key, client_ca)


class Authority:
    """Signs certificates into a folder."""

    def __init__(self, room: Path) -> None:
        self._room = room
        self._ca = trustme.CA()
        self.file = room / f"ca-{id(self)}.pem"
        self._ca.cert_pem.write_to_path(self.file)

    def sign(self, *names: str, called: str = "server", until: datetime | None = None) -> Files:
        """A certificate of these names; `called`: how its files begin. It replaces one called the same."""
        made = self._ca.issue_cert(*names, not_after=until)
        cert, key = self._room / f"{called}.pem", self._room / f"{called}.key"
        key.write_bytes(made.private_key_pem.bytes())
        cert.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        return Files(cert, key, self.file)
