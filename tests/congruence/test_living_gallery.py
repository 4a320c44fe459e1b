"""One life of a gallery, lived in process and over a socket: every answer, and every refusal, is the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from facewire.client import FaceClient, ServerRefused
from facewire.client.connection import OnProgress
from facewire.protocol import gallery_messages
from facewire.protocol.asks import REQUEST_OF, A, Asks
from facewire.protocol.gallery_messages import MAX_PAGE
from facewire.server.app import Recognition
from facewire.server.errors import RequestError
from facewire.server.tcp.answers import code_of
from tests.support.living_server import living_server, living_service
from tests.support.synthetic_engine import draw, portrait, tiny

NOBODY = draw()
TWO = draw((5, (4.0, 8.0, 20.0, 24.0)), (9, (36.0, 8.0, 22.0, 24.0)))
BROKEN = b"not a picture"


class InProcess:
    """Carries a client's requests to a service without a socket."""

    def __init__(self, service: Recognition) -> None:
        self._handlers = {**service.computing, **service.handlers}
        self.asked: set[str] = set()

    def ask(self, body: Asks[A], on_progress: OnProgress | None = None) -> A:
        self.asked.add(body.op)
        answer: A = self._handlers[type(body)](body)  # type: ignore[assignment]
        return answer

    def ask_many(self, bodies: Iterable[Asks[A]], *, window: int) -> Iterator[A | ServerRefused]:
        return map(self.ask, bodies)

    def connect(self) -> None:
        return

    def close(self) -> None:
        return


Asked = Callable[[FaceClient], object]

LIFE: tuple[Asked, ...] = (
    lambda it: it.people(),
    lambda it: it.undo(),
    lambda it: it.enrol("Ann", portrait(1), label="ann.jpg"),
    lambda it: it.enrol("Ann", portrait(1), label="again.jpg"),
    lambda it: it.enrol("Ann", NOBODY),
    lambda it: it.enrol("Ann", TWO),
    lambda it: it.enrol("Ann", TWO, several="main"),
    lambda it: it.enrol("Bob", TWO, at=(12.0, 20.0)),
    lambda it: it.enrol("Bob", TWO, at=(1.0, 1.0)),
    lambda it: it.enrol("Bob", BROKEN),
    lambda it: it.enrol(" \t", portrait(1)),
    lambda it: it.enrol_many("Cleo", [portrait(3), NOBODY, BROKEN, TWO, portrait(3), portrait(3, shade=9)]),
    lambda it: it.enrol_many("Nobody", [NOBODY, BROKEN]),
    lambda it: it.enrol_many("Ann", [portrait(1)], labels=["once more"]),
    lambda it: it.people(1, 1),
    lambda it: it.people(contains="O"),
    lambda it: it.show("Cleo"),
    lambda it: it.show("Cleo", 1, 1, crops=False),
    lambda it: it.show("nobody"),
    lambda it: it.rename("Cleo", "Bob"),
    lambda it: it.rename("Cleo", "Cléo  Dubois"),
    lambda it: it.rename("Cleo", "X"),
    lambda it: it.split("Cléo Dubois", [4], "Dora"),
    lambda it: it.split("Cléo Dubois", [1], "Dora"),
    lambda it: it.split("Dora", [4], "Dora"),
    lambda it: it.merge(["Dora", "Bob"], "Ann"),
    lambda it: it.merge(["Ann"], "Ann"),
    lambda it: it.merge(["Ann"], "nobody"),
    lambda it: it.history(3),
    lambda it: it.undo(last=3),
    lambda it: it.undo(2),
    lambda it: list(it.all_people()),
    lambda it: it.remove("Ann", [2]),
    lambda it: it.remove("Ann", [2]),
    lambda it: it.remove("Bob"),
    lambda it: it.undo(),
    lambda it: list(it.all_templates("Bob")),
    lambda it: it.history(name="Cleo"),
    lambda it: it.history(name="Bob"),
    lambda it: it.erase("Ann"),
    lambda it: it.erase("Ann"),
    lambda it: it.undo(),
    lambda it: it.history(MAX_PAGE),
    lambda it: it.people(),
    lambda it: it.enrol("Eve", tiny(6)),
    lambda it: it.enrol_many("Eve", [tiny(6), portrait(6), TWO, portrait(6, extension=".jpg")]),
    lambda it: it.enrol("Eve", tiny(6), accept=["too_small"]),
    lambda it: it.enrol_many("Eve", [TWO, portrait(6, extension=".jpg")], accept=["all"]),
    lambda it: it.enrol("Fay", portrait(6, shade=3)),
    lambda it: it.enrol_many("Fay", [portrait(12), portrait(12, shade=1), portrait(6, shade=4)]),
)


def without_times(value: Any) -> Any:
    """Everything but what a clock said."""
    if isinstance(value, (list, tuple)):
        return [without_times(one) for one in value]
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    return {
        field.name: without_times(getattr(value, field.name))
        for field in dataclasses.fields(value)
        if field.name not in ("at", "created")
    }


def outcome(step: Asked, it: FaceClient) -> object:
    try:
        return without_times(step(it))
    except RequestError as error:
        return str(code_of(error)), str(error)
    except ServerRefused as error:
        return str(error.code), error.message


def test_a_life_is_the_same_in_process_and_over_a_socket(tmp_path: Path) -> None:
    with living_service(tmp_path / "inside.db") as (service, _), living_server(tmp_path / "outside.db") as server:
        inside = InProcess(service)
        within = FaceClient(asker=inside)
        with server.client() as client:
            assert isinstance(client, FaceClient)
            outcomes = [(outcome(step, within), outcome(step, client)) for step in LIFE]
    for number, (here, there) in enumerate(outcomes):
        assert here == there, f"step {number}"
    assert inside.asked == {op for op, shape in REQUEST_OF.items() if shape.__module__ == gallery_messages.__name__}
    refused = [here for here, _ in outcomes if isinstance(here, tuple)]
    assert [code for code, _ in refused] == [
        "conflict", "no_face", "several_faces", "no_face", "invalid_image", "invalid_request", "unknown_person",
        "exists", "unknown_person", "unknown_template", "invalid_request", "invalid_request", "unknown_person",
        "conflict", "unknown_template", "unknown_person", "conflict", "rejected",
    ]  # fmt: skip
