"""What Home Assistant is told of a camera, by its MQTT discovery: a device with a few entities."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

from facewire.client.camera.events import KINDS
from facewire.protocol.version import VERSION

_PREFIX = "homeassistant"


class Topics:
    """The topics of one camera. Its name becomes letters, digits and hyphens; two names never become the same."""

    def __init__(self, camera: str) -> None:
        plain = re.sub(r"[^A-Za-z0-9_-]+", "-", camera).strip("-")
        differs = "" if plain == camera else "-" + hashlib.sha256(camera.encode()).hexdigest()[:6]
        self.node = f"{plain or 'camera'}{differs}"
        base = f"facewire/{self.node}"
        self.availability = f"{base}/availability"
        self.state = f"{base}/state"
        self.event = f"{base}/event"
        self.picture = f"{base}/picture"


def discovery(camera: str, *, pictures: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """The topics and contents of its entities; an empty content would remove one."""
    topics = Topics(camera)
    entities: list[tuple[str, str, dict[str, Any]]] = [
        ("sensor", "people", {
            "name": "People", "icon": "mdi:account-group", "state_topic": topics.state,
            "value_template": "{{ value_json.who or 'nobody' }}", "json_attributes_topic": topics.state,
        }),
        ("sensor", "strangers", {
            "name": "Strangers", "icon": "mdi:account-question", "state_topic": topics.state,
            "value_template": "{{ value_json.strangers }}", "state_class": "measurement",
        }),
        ("binary_sensor", "somebody", {
            "name": "Somebody there", "device_class": "occupancy", "state_topic": topics.state,
            "value_template": "{{ 'ON' if value_json.faces > 0 else 'OFF' }}",
        }),
        ("event", "event", {
            "name": "Event", "icon": "mdi:face-recognition", "state_topic": topics.event, "event_types": list(KINDS),
        }),
    ]  # fmt: skip
    if pictures:
        entities.append(("image", "picture", {
            "name": "Last face", "image_topic": topics.picture, "content_type": "image/jpeg",
        }))  # fmt: skip
    device = {
        "identifiers": [f"facewire_{topics.node}"],
        "name": camera,
        "manufacturer": "facewire",
        "sw_version": VERSION,
    }
    for component, entity, config in entities:
        named = f"facewire_{topics.node}_{entity}"
        common = {"unique_id": named, "availability_topic": topics.availability, "device": device}
        yield f"{_PREFIX}/{component}/facewire_{topics.node}/{entity}/config", config | common
