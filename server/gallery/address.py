"""Where a gallery is: a file, or a collection in Milvus."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import parse_qs, urlsplit

SCHEMES = ("milvus", "milvus+tls")
TOKEN_VARIABLE = "FACEWIRE_MILVUS_TOKEN"
DEFAULT_PORT = 19530
STALENESS_MS = 800
TIMEOUT_S = 5.0
_LONGEST_TIMEOUT_S = 600.0
_PATIENT_S = 60.0
_LONGEST_NAME = 200
_FORM = "milvus://HOST:PORT/NAME"

IndexKind = Literal["flat", "hnsw"]
"""`flat` compares with every template and is exact; `hnsw` takes a few milliseconds among any number of them."""


@dataclass(frozen=True, slots=True)
class MilvusAddress:
    """A gallery in Milvus. `name`: its collection; `staleness_ms`: how long a change made by another server may take
    to be in force on this one; `timeout_s`: how long a question may take, reconnecting included; `index`: of a gallery
    that is made anew."""

    host: str
    port: int
    name: str
    tls: bool = False
    staleness_ms: int = STALENESS_MS
    index: IndexKind = "flat"
    timeout_s: float = TIMEOUT_S

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{SCHEMES[self.tls]}://{host}:{self.port}/{self.name}"

    @property
    def argument(self) -> str:
        """As `--db` takes it, with its settings."""
        return f"{self}?staleness_ms={self.staleness_ms}&index={self.index}&timeout_s={self.timeout_s:g}"

    @property
    def patient(self) -> MilvusAddress:
        """With a minute for each answer, where nobody waits but a whole move would fail."""
        return replace(self, timeout_s=max(self.timeout_s, _PATIENT_S))


Database = Path | MilvusAddress


def database(text: str) -> Database:
    """Reads `--db`: a path, or milvus://HOST:PORT/NAME, with ?staleness_ms=N, timeout_s=N and index=hnsw if
    wished. Raises ArgumentTypeError."""
    scheme, there, _ = text.partition("://")
    if not there:
        return Path(text)
    if scheme not in SCHEMES:
        raise argparse.ArgumentTypeError(f"{text} is neither a file nor {_FORM} (or milvus+tls://)")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port or DEFAULT_PORT
        options = parse_qs(parts.query, strict_parsing=True) if parts.query else {}
        staleness = int(options.pop("staleness_ms", [str(STALENESS_MS)])[0])
        timeout = float(options.pop("timeout_s", [str(TIMEOUT_S)])[0])
        index = next((kind for kind in get_args(IndexKind) if [kind] == options.get("index", ["flat"])), None)
        options.pop("index", None)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{_hidden(text)} is not {_FORM}: {error}") from error
    if parts.username is not None or parts.password is not None:
        raise argparse.ArgumentTypeError(
            f"a token does not belong on the command line, where others can read it: set {TOKEN_VARIABLE}"
        )
    sensible = staleness >= 0 and 0 < timeout <= _LONGEST_TIMEOUT_S
    if host is None or options or parts.fragment or not sensible or index is None:
        raise argparse.ArgumentTypeError(
            f"{text} is not {_FORM}, with ?staleness_ms=N, timeout_s=N (600 at most) or index=flat|hnsw if wished"
        )
    name = parts.path.removeprefix("/")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or len(name) > _LONGEST_NAME:
        raise argparse.ArgumentTypeError(
            f"Milvus can't have a collection called '{name}': take at most {_LONGEST_NAME} ASCII letters, digits and"
            " underscores, no digit first"
        )
    return MilvusAddress(host, port, name, scheme == SCHEMES[1], staleness, index, timeout)


def database_file(text: str) -> Path:
    """Reads `--db` of a command that works on the file itself. Raises ArgumentTypeError."""
    db = database(text)
    if isinstance(db, MilvusAddress):
        raise argparse.ArgumentTypeError(
            f"must be a database file, not {db}: fetch it with scripts/backup.py import {db} --db FILE, do this with"
            f" FILE, and take it back with scripts/backup.py export {db} --db FILE --replace --other-model"
        )
    return db


def local_path(db: Database) -> Path:
    """The database's file or, for one in Milvus, the name beside which its files on this machine lie: a build's
    progress and log, albums."""
    return db if isinstance(db, Path) else Path("data") / f"{db.name}.milvus"


def _hidden(text: str) -> str:
    """The address without anything before an @, which may be a secret."""
    return re.sub(r"//[^/]*@", "//...@", text)
