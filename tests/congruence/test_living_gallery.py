"""One life of a gallery, lived in process, over a socket and over HTTP: every answer and refusal is the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from facewire.client import FaceClient, ServerRefused
from facewire.client.transport import OnProgress
from facewire.protocol import gallery_messages
from facewire.protocol.gallery_messages import MAX_PAGE
from facewire.protocol.schema import REQUEST_OF, A, Asks
from facewire.server.app import Recognition
from facewire.server.errors import RequestError
from facewire.server.tcp.answers import code_of
from tests.support.living_server import living_server, living_service
from tests.support.over_http import OverHttp
from tests.support.synthetic_engine import draw, portrait, tiny
from tests.support.web_server import web_page

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

LIFE: dict[str, Asked] = {
    "nobody is there yet": lambda it: it.people(),
    "nothing to undo": lambda it: it.undo(),
    "Ann is enrolled": lambda it: it.enrol("Ann", portrait(1), label="ann.jpg"),
    "the same picture again": lambda it: it.enrol("Ann", portrait(1), label="again.jpg"),
    "a picture of nobody": lambda it: it.enrol("Ann", NOBODY),
    "two faces, unsaid which": lambda it: it.enrol("Ann", TWO),
    "two faces, the main one": lambda it: it.enrol("Ann", TWO, several="main"),
    "two faces, the one at a point": lambda it: it.enrol("Bob", TWO, at=(12.0, 20.0)),
    "a point beside every face": lambda it: it.enrol("Bob", TWO, at=(1.0, 1.0)),
    "a broken picture": lambda it: it.enrol("Bob", BROKEN),
    "a name of blanks": lambda it: it.enrol(" \t", portrait(1)),
    "many for Cleo, some of them none": lambda it: it.enrol_many(
        "Cleo", [portrait(3), NOBODY, BROKEN, TWO, portrait(3), portrait(3, shade=9)]
    ),
    "many, and none of them": lambda it: it.enrol_many("Nobody", [NOBODY, BROKEN]),
    "a copy with a label": lambda it: it.enrol_many("Ann", [portrait(1)], labels=["once more"]),
    "a page of people": lambda it: it.people(1, 1),
    "people by a part of their name": lambda it: it.people(contains="O"),
    "Cleo and her crops": lambda it: it.show("Cleo"),
    "a page of Cleo's templates": lambda it: it.show("Cleo", 1, 1, crops=False),
    "somebody who is not there": lambda it: it.show("nobody"),
    "one of Cleo's templates": lambda it: it.template("Cleo", 4),
    "a template that is nobody's": lambda it: it.template("Cleo", 400),
    "a name that is taken": lambda it: it.rename("Cleo", "Bob"),
    "a new name": lambda it: it.rename("Cleo", "Cléo  Dubois"),
    "the name that Cleo had": lambda it: it.rename("Cleo", "X"),
    "a template split off": lambda it: it.split("Cléo Dubois", [4], "Dora"),
    "a template that she lacks, split off": lambda it: it.split("Cléo Dubois", [1], "Dora"),
    "Dora split off from herself": lambda it: it.split("Dora", [4], "Dora"),
    "two merged into Ann": lambda it: it.merge(["Dora", "Bob"], "Ann"),
    "a template that Dora had": lambda it: it.template("Dora", 4),
    "Ann merged with herself": lambda it: it.merge(["Ann"], "Ann"),
    "Ann merged into nobody": lambda it: it.merge(["Ann"], "nobody"),
    "three events": lambda it: it.history(3),
    "undone only where event 3 is the last": lambda it: it.undo(last=3),
    "the last two undone": lambda it: it.undo(2),
    "all people, page by page": lambda it: list(it.all_people()),
    "a template removed": lambda it: it.remove("Ann", [2]),
    "the same template again": lambda it: it.remove("Ann", [2]),
    "Bob removed": lambda it: it.remove("Bob"),
    "Bob is back": lambda it: it.undo(),
    "all of Bob's templates": lambda it: list(it.all_templates("Bob")),
    "Cleo's history": lambda it: it.history(name="Cleo"),
    "Bob's history": lambda it: it.history(name="Bob"),
    "Ann erased": lambda it: it.erase("Ann"),
    "Ann erased again": lambda it: it.erase("Ann"),
    "what was erased is not undone": lambda it: it.undo(),
    "all of history": lambda it: it.history(MAX_PAGE),
    "who is left": lambda it: it.people(),
    "a face too small": lambda it: it.enrol("Eve", tiny(6)),
    "many for Eve, one too small": lambda it: it.enrol_many(
        "Eve", [tiny(6), portrait(6), TWO, portrait(6, extension=".jpg")]
    ),
    "a face too small, accepted": lambda it: it.enrol("Eve", tiny(6), accept=["too_small"]),
    "two faces and a copy, all accepted": lambda it: it.enrol_many(
        "Eve", [TWO, portrait(6, extension=".jpg")], accept=["all"]
    ),
    "a face that is Eve's": lambda it: it.enrol("Fay", portrait(6, shade=3)),
    "many for Fay, one of them Eve's": lambda it: it.enrol_many(
        "Fay", [portrait(12), portrait(12, shade=1), portrait(6, shade=4)]
    ),
}

REFUSED = {
    "nothing to undo": "conflict",
    "a picture of nobody": "no_face",
    "two faces, unsaid which": "several_faces",
    "a point beside every face": "no_face",
    "a broken picture": "invalid_image",
    "a name of blanks": "invalid_request",
    "somebody who is not there": "unknown_person",
    "a template that is nobody's": "unknown_template",
    "a name that is taken": "exists",
    "the name that Cleo had": "unknown_person",
    "a template that she lacks, split off": "unknown_template",
    "Dora split off from herself": "invalid_request",
    "Ann merged with herself": "invalid_request",
    "Ann merged into nobody": "unknown_person",
    "undone only where event 3 is the last": "conflict",
    "the same template again": "unknown_template",
    "Ann erased again": "unknown_person",
    "what was erased is not undone": "conflict",
    "a face too small": "rejected",
}


def without_times(value: Any) -> Any:
    """Everything but what a clock said, and the address of who asked: only one of the two has any."""
    if isinstance(value, (list, tuple)):
        return [without_times(one) for one in value]
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    return {
        field.name: without_times(getattr(value, field.name))
        for field in dataclasses.fields(value)
        if field.name not in ("at", "created", "address", "timing_ms")
    }


def outcome(step: Asked, it: FaceClient) -> object:
    try:
        return without_times(step(it))
    except RequestError as error:
        return str(code_of(error)), str(error)
    except ServerRefused as error:
        return str(error.code), error.message


def test_a_life_is_the_same_in_process_over_a_socket_and_over_http(tmp_path: Path) -> None:
    with (
        living_service(tmp_path / "inside.db") as (service, _),
        living_server(tmp_path / "outside.db") as server,
        living_server(tmp_path / "afar.db") as behind,
        web_page(behind.address, api_only=True) as page,
    ):
        inside = InProcess(service)
        within, afar = FaceClient(transport=inside), FaceClient(transport=OverHttp(page))
        with server.client() as client:
            assert isinstance(client, FaceClient)
            outcomes = {name: [outcome(step, it) for it in (within, client, afar)] for name, step in LIFE.items()}
    for name, (here, there, far) in outcomes.items():
        assert here == there, name
        assert here == far, name
    assert inside.asked == {op for op, shape in REQUEST_OF.items() if shape.__module__ == gallery_messages.__name__}
    refused = {name: here[0] for name, (here, _, _) in outcomes.items() if isinstance(here, tuple)}
    assert refused == REFUSED


def test_pictures_are_seen_the_same(tmp_path: Path) -> None:
    pictures = (portrait(1), TWO, NOBODY, BROKEN)
    looks: list[Asked] = [
        *(partial(lambda image, it: it.identify(image, k=2), image) for image in pictures),
        *(partial(lambda image, it: it.detect(image), image) for image in pictures),
        *(partial(lambda image, it: it.embed(image), image) for image in pictures),
        lambda it: it.verify(portrait(1), TWO, at=(20.0, 20.0), fmr=0.01),
        lambda it: it.verify(portrait(1), NOBODY),
        lambda it: it.verify_person("Ann", portrait(1, shade=4), at=(20.0, 20.0)),
        lambda it: it.verify_person("Bob", portrait(1)),
    ]
    with living_server(tmp_path / "one.db") as server, web_page(server.address, api_only=True) as page:
        afar = FaceClient(transport=OverHttp(page))
        with server.client() as client:
            client.enrol("Ann", portrait(1))
            assert client.verify_person("Ann", portrait(1)).same
            for look in looks:
                assert outcome(look, client) == outcome(look, afar)
