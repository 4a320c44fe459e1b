"""Shared by DeepFace's operations: what a face's area looks like, and what every one of them refuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from facewire.client.web.deepface.asked import Asked, Refused
from facewire.protocol.messages import DetectedFace, ImageSize

Json = dict[str, Any]

NOT_FOUND = (
    "Face could not be detected. Please confirm that the picture is a face photo or consider to set enforce_detection"
    " param to False."
)


def area_of(face: DetectedFace, size: ImageSize) -> Json:
    """A face's area in DeepFace's whole numbers, within the picture."""
    x, y = max(0, int(face.box[0])), max(0, int(face.box[1]))
    area: Json = {"x": x, "y": y}
    area["w"], area["h"] = min(size.width - x - 1, int(face.box[2])), min(size.height - y - 1, int(face.box[3]))
    eyes = [[int(at_x), int(at_y)] for at_x, at_y in face.landmarks[:2]]
    for key, index in (("left_eye", 1), ("right_eye", 0)):  # the person's own left, as in DeepFace
        area[key] = eyes[index] if len(eyes) == 2 and _inside(eyes[index], size) else None
    return area


def _inside(point: Sequence[int], size: ImageSize) -> bool:
    return 0 <= point[0] < size.width and 0 <= point[1] < size.height


def refuse_spoofing(asked: Asked) -> None:
    if asked.flag("anti_spoofing", False):
        raise Refused("anti_spoofing is not available here: nothing tells a picture of a picture from a face")


def check_model(asked: Asked, model: str) -> None:
    """Raises Refused if the request names another model than the server's."""
    said = asked.text("model_name")
    if said is not None and said.casefold() != model.casefold():
        raise Refused(
            f"model_name '{said}' is not available: this server runs {model} (server_app.py --model chooses another);"
            " leave it out, or name that"
        )
