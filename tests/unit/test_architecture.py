"""ARCHITECTURE's import directions, read from the import statements themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("protocol", "server", "client", "scripts", "lab")
LAUNCHERS = ("server_app", "client_app", "web_app")
LAUNCH = "protocol.launch"  # what each of them, and every script, begins with


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))
    yield from (ROOT / f"{launcher}.py" for launcher in LAUNCHERS)


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_by(path: Path) -> set[str]:
    """Every module named in an import statement anywhere in the file, functions and TYPE_CHECKING included; facewire's
    own without that first name, as their folders are called."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            # `from server import vision` imports server.vision
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("facewire.") for name in names}


IMPORTS = {module_of(path): imported_by(path) for path in sources()}


def inside(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def users_of(package: str) -> set[str]:
    return {module for module, names in IMPORTS.items() if any(inside(name, package) for name in names)}


def test_the_modules_are_found() -> None:
    assert {"protocol.codec", "server.app", "server.vision.analyser", "client.face_client"} <= set(IMPORTS)
    assert "server.tcp.session" in users_of("protocol")


# who -> what they must never import
FORBIDDEN = {
    "protocol": ["server", "client", "scripts", "lab", *LAUNCHERS],
    "client": ["server", "scripts", "lab", *LAUNCHERS],
    # the page is one more thin client: it asks through FaceClient, and looks into no picture
    "client.web": ["client.connection", "protocol.stream", "protocol.framing", "protocol.codec", "numpy", "cv2", "PIL"],
    "server": ["client", "scripts", "lab", *LAUNCHERS],
    "server.vision": ["server.tcp", "server.recognition", "server.gallery", "server.app", "protocol", "socket"],
    "server.gallery": ["server.tcp", "server.recognition", "server.vision", "server.app", "protocol", "socket"],
    "server.recognition": [
        "server.tcp",
        "server.albums",
        "server.app",
        "protocol.stream",
        "protocol.framing",
        "protocol.codec",
    ],
    "server.albums": [
        *("server.tcp", "server.recognition", "server.app"),
        *("protocol.stream", "protocol.framing", "protocol.codec", "socket"),
    ],
    "server.tcp": ["server.vision", "server.gallery", "server.recognition", "server.albums", "server.app"],
    "server.errors": ["server", "protocol"],
    "server.spec": ["server", "protocol"],
    "scripts": list(LAUNCHERS),
    "lab": list(LAUNCHERS),
}


# What a picture file looks like, or a setting, is nobody's message: every part takes it from one table.
EXEMPT = ("protocol.formats", "protocol.jpeg", "protocol.settings")
# Its sockets lead to its own processes, and to Milvus, to see whether anybody is there.
ALLOWED = {("server.vision.decoding", "socket"), ("server.gallery.milvus.connection", "socket")}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_who_may_not_import_what(package: str) -> None:
    wrong = [
        f"{module} imports {name}"
        for module, names in IMPORTS.items()
        if inside(module, package)
        for name in sorted(names)
        if any(inside(name, forbidden) for forbidden in FORBIDDEN[package])
        and not any(inside(name, exempt) for exempt in EXEMPT)
        and not any(inside(module, room) and inside(name, what) for room, what in ALLOWED)
    ]
    assert wrong == []


# What implements the gallery, and who looks at it all the same: who, what, and why.
BEHIND_THE_GALLERY = ("storage", "search", "sqlite", "milvus", "writer", "snapshot", "watch")
LOOKING_BEHIND = [
    ("server.maintenance", "server.gallery", "builds, copies and migrates the database itself"),
    ("server.albums", "server.gallery.storage", "a SQLite database too, which is opened and kept as the gallery's is"),
    ("server.albums", "server.gallery.watch", "and followed as that is"),
    ("server.albums", "server.gallery.search.cohort", "normalises likenesses of its own"),
    ("server.recognition.decision", "server.gallery.search.cohort", "compares the faces of albums by the same cohort"),
    ("server.recognition.decision", "server.gallery.search.means", "compares with one person as search does with all"),
    ("server.recognition.calibration", "server.gallery.search", "compares its samples as search compares probes"),
    ("server.recognition.curator", "server.gallery.search.lookalikes", "says from which limit pictures are copies"),
]


def test_the_server_speaks_to_the_gallery_and_not_to_what_implements_it() -> None:
    behind = {
        (module, name)
        for module, names in IMPORTS.items()
        if inside(module, "server") and not inside(module, "server.gallery")
        for name in names
        if any(inside(name, f"server.gallery.{part}") for part in BEHIND_THE_GALLERY)
    }
    excused = {
        (module, name): {entry for entry in LOOKING_BEHIND if inside(module, entry[0]) and inside(name, entry[1])}
        for module, name in behind
    }
    assert [look for look, entries in excused.items() if not entries] == []
    assert set().union(*excused.values()) == set(LOOKING_BEHIND), "an exception that nobody needs any more"
    assert users_of("server.gallery.sqlite") & {name for name in IMPORTS if inside(name, "server")} == {
        "server.gallery.opening"
    }


def test_tests_are_imported_by_nobody() -> None:
    assert users_of("tests") == set()


# Libraries that one module hides from all others; two of them build OpenVINO's graphs.
HIDDEN = {
    "deepface": "server.vision.deepface_models",
    "tensorflow": "server.vision.deepface_models",
    "openvino": "server.vision.runtime, server.vision.quantisation",
    "dlib": "server.vision.dlib_models",
    "sqlite_utils": "server.gallery.storage.store",
    "msgpack": "protocol.codec",
    "numkong": "server.gallery.search.packed",
    "pillow_heif": "server.vision.readers",
    "prometheus_client": "server.metrics",
    "ray": "server.maintenance.build.connecting",
    "av": "client.camera.streams, server.vision.decoding.film",
    "pymilvus": "server.gallery.milvus.connection",
}


# What draws on a user's machine reads pictures there, where there is no server.
ELSEWHERE = ("lab", "client.render")


@pytest.mark.parametrize("library", HIDDEN)
def test_one_module_imports_a_library(library: str) -> None:
    users = {user for user in users_of(library) if not any(inside(user, place) for place in ELSEWHERE)}
    assert users == set(HIDDEN[library].split(", "))


@pytest.mark.parametrize("library", ["sqlite_utils", "msgpack", "openvino", "dlib"])
def test_the_laboratory_goes_through_that_module_too(library: str) -> None:
    graphs = {"lab.quantise"} if library == "openvino" else set()  # watches layers inside a graph
    assert {user for user in users_of(library) if inside(user, "lab")} <= graphs


def test_the_wire_is_pure() -> None:
    """Bytes in, messages out: only the stream has a socket, and nothing decodes pictures or computes."""
    assert users_of("socket") & {module for module in IMPORTS if inside(module, "protocol")} == {
        *("protocol.stream", "protocol.tls")
    }
    heavy = ("numpy", "cv2", "PIL", "sqlite3")
    assert not [module for name in heavy for module in users_of(name) if inside(module, "protocol")]


def test_a_start_waits_for_no_library_that_it_does_not_need() -> None:
    """Each of these takes from a fifth of a second to several, and memory; sqlite_utils brings pandas along."""
    slow = {"tensorflow", "deepface", "pandas", "sqlite_utils", "matplotlib", "faiss", "prometheus_client"}
    slow |= {"openvino.tools.ovc.convert"}
    code = f"import sys, facewire.server.app; print(sorted({slow!r} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_only_the_page_needs_a_web_framework() -> None:
    users = set().union(*map(users_of, ("starlette", "uvicorn", "jinja2")))
    assert users
    assert all(inside(user, "client.web") for user in users)


def test_the_environment_is_written_once_before_there_are_threads() -> None:
    """It is the whole process's: a thread that changes it changes it for another that reads it (decisions/0047)."""
    writers = {
        module_of(path)
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load) and is_environment(node.value))
        or (isinstance(node, ast.Attribute) and node.attr in WRITING and is_environment(node.value))
        or (isinstance(node, ast.Attribute) and node.attr in ("putenv", "unsetenv"))
    }
    assert {module for module in writers if not inside(module, "scripts")} == {
        "server",
        "server.maintenance.build.connecting",  # for Ray, in a command that has no threads yet
    }


WRITING = ("setdefault", "update", "pop", "popitem", "clear")


def is_environment(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "environ"


def test_nothing_is_unpickled() -> None:
    assert users_of("pickle") | users_of("marshal") | users_of("shelve") == set()


def test_launch_needs_nothing_but_python() -> None:
    """It tells those who have nothing else what they lack."""
    assert {name.partition(".")[0] for name in IMPORTS[LAUNCH]} <= sys.stdlib_module_names


def test_openblas_is_told_to_have_no_threads_before_numpy_loads_it() -> None:
    """Told later it does not listen, and its threads keep FaceNet from a core (docs/decisions/0009)."""
    told = "import os, sys, facewire.server; print('numpy' in sys.modules, os.environ['OPENBLAS_NUM_THREADS'])"
    ran = subprocess.run([sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "1"]


# What turns bytes of a picture file into pixels, or reads them at all, and the modules that may: they run in children.
DECODERS = {
    *("cv2.imdecode", "cv2.imread", "cv2.imdecodemulti", "cv2.imreadmulti", "cv2.VideoCapture", "Image.open"),
    *("ImageFile.Parser", "pillow_heif.open_heif", "pillow_heif.read_heif", "pillow_heif.register_heif_opener"),
}
DECODING = {"server.vision.image", "server.vision.readers", "server.vision.decoding.reading"}
DECODE_FUNCTIONS = {"decode_image", "decode_photo", "read_header"}


def names_used(path: Path) -> set[str]:
    """Every `a.b` in the file, and every name that is called or imported."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            names.add(f"{ast.unparse(node.value)}.{node.attr}")
        elif isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{(node.module or '').rpartition('.')[2]}.{alias.name}" for alias in node.names}
    return names


def test_pictures_are_decoded_behind_one_door() -> None:
    """Whoever wants pixels or a header asks a Decoder, whose children may crash."""
    looked = {module_of(path): names_used(path) for path in sources()}
    serving = {
        module: names
        for module, names in looked.items()
        if inside(module, "server") or inside(module, "scripts")  # the laboratory's pictures are our own
    }
    assert {module for module, names in serving.items() if names & DECODERS} <= DECODING
    decoded = {module for module, names in serving.items() if names & DECODE_FUNCTIONS}
    assert "server.vision.decoding.reading" in decoded
    assert decoded <= DECODING
    pillow = {module for module in users_of("PIL") | users_of("pillow_heif") if inside(module, "server")}
    assert pillow <= DECODING | {"server.vision.clip"}, "which scales pixels as its models were taught"


def test_children_load_nothing_but_what_decodes() -> None:
    """A process that strangers' bytes may take over holds no network, no database and no protocol."""
    heavy = {"openvino", "tensorflow", "dlib", "sqlite3", "msgpack", "server.gallery", "server.tcp", "protocol.codec"}
    code = (
        "import sys, server.vision.decoding.forkserver, server.vision.decoding.reading; "
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
