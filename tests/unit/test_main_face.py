"""Which face a picture is about."""

from __future__ import annotations

import pytest

from facewire.server.gallery.records import Box
from facewire.server.recognition.enrolment import main_face


@pytest.mark.parametrize(
    ("boxes", "chosen"),
    [
        ([(90, 90, 10, 10)], 0),  # alone in a corner
        ([(0, 0, 100, 100), (45, 45, 10, 10)], 0),  # both in the centre: the larger
        ([(0, 40, 22, 22), (40, 40, 20, 20)], 1),  # a slightly larger face at the edge
        ([(0, 20, 60, 60), (45, 45, 10, 10)], 0),  # a much larger one
        ([(20, 40, 20, 20), (60, 40, 20, 20)], 0),  # equal: the earlier
    ],
)
def test_the_largest_central_face(boxes: list[Box], chosen: int) -> None:
    assert main_face(boxes, 100, 100) == chosen


def test_no_face_is_no_answer() -> None:
    with pytest.raises(ValueError, match="empty"):
        main_face([], 100, 100)
