"""`--mqtt URL`: the camera as a device of Home Assistant, and its events as messages.

Topics, below `facewire/CAMERA/`: `availability` (online, offline) and `state` (JSON: people, strangers, faces), both
retained; `event` (JSON) and `picture` (JPEG), which are not.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion

from facewire.client.camera.events import Event, Situation
from facewire.client.camera.home_assistant import Topics, discovery
from facewire.client.camera.sinks import CLOSING_S, Say

_KEPT = 100  # events for a broker that is away; of a camera that matters is who is there now, which is its state
_UNACKNOWLEDGED = 200  # messages; paho refuses more
_KEEPALIVE_S = 30
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1, 60


class BadBroker(ValueError):
    """No URL of a broker, or its certificate can't be used."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where it is. The password is never part of the URL, which others can see."""

    host: str
    port: int
    tls: bool
    user: str | None


def parse_broker(url: str) -> Broker:
    """mqtt://[USER@]HOST[:PORT] or mqtts://. Raises BadBroker."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadBroker("--mqtt takes mqtt://[USER@]HOST[:PORT], or mqtts:// for TLS") from None
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise BadBroker("--mqtt takes mqtt://[USER@]HOST[:PORT], or mqtts:// for TLS")
    if parts.password is not None:
        raise BadBroker("other users of this machine can see a password in --mqtt: set FACEWIRE_MQTT_PASSWORD instead")
    tls = parts.scheme == "mqtts"
    user = None if parts.username is None else unquote(parts.username)
    return Broker(parts.hostname, port or (8883 if tls else 1883), tls, user)


class Mqtt:
    """Publishes from paho's thread, which connects again for ever."""

    def __init__(
        self, camera: str, broker: Broker, password: str | None, ca: Path | None, say: Say, *, pictures: bool
    ) -> None:
        """Raises BadBroker for a certificate that can't be read."""
        self._topics = Topics(camera)
        self._camera = camera
        self._say = say
        self._pictures = pictures
        self._lock = threading.Lock()  # guards what follows
        self._connected = False
        self._failing = False
        self._situation = Situation()
        self._missed: deque[Event] = deque(maxlen=_KEPT)
        self._client = self._set_up(broker, password, ca)
        self._name = f"MQTT broker {broker.host}"
        self._client.connect_async(broker.host, broker.port, _KEEPALIVE_S)
        self._client.loop_start()

    def take(self, event: Event) -> None:
        """Publishes it, or keeps it for a broker that is away."""
        with self._lock:
            if not self._connected:
                self._missed.append(event)
                return
        self._publish_event(event)

    def situation(self, situation: Situation) -> None:
        """Publishes who is there, retained."""
        with self._lock:
            self._situation = situation
            if not self._connected:
                return
        self._publish_situation(situation)

    def close(self) -> None:
        """Says that the camera is offline, and ends the connection."""
        with self._lock:
            connected = self._connected
        if connected:
            told = self._publish(self._topics.availability, b"offline", retain=True)
            try:
                told.wait_for_publish(CLOSING_S)
            except (RuntimeError, ValueError):  # the connection has just broken: then the broker says it (our will)
                self._say(f"{self._name}: connection lost")
        self._client.disconnect()
        self._client.loop_stop()

    def _set_up(self, broker: Broker, password: str | None, ca: Path | None) -> Client:
        client = Client(CallbackAPIVersion.VERSION2)
        client.max_queued_messages_set(_UNACKNOWLEDGED)
        client.reconnect_delay_set(_FIRST_WAIT_S, _LONGEST_WAIT_S)
        client.will_set(self._topics.availability, b"offline", qos=1, retain=True)
        if broker.user is not None or password is not None:
            client.username_pw_set(broker.user or "", password)
        if broker.tls:
            try:
                client.tls_set_context(ssl.create_default_context(cafile=ca))
            except (OSError, ssl.SSLError) as error:
                raise BadBroker(f"--mqtt-ca {ca}: {error.strerror or error}") from error
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        return client

    # ------------------------------------------------------------------------------------------ in paho's thread

    def _on_connect(self, client: Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._fails(f"refuses the connection: {reason}")
            return
        with self._lock:
            self._connected, self._failing = True, False
            missed, situation = list(self._missed), self._situation
            self._missed.clear()
        self._say(f"{self._name}: connected")
        for topic, config in discovery(self._camera, pictures=self._pictures):
            self._publish(topic, json.dumps(config).encode(), retain=True)
        self._publish_situation(situation)
        for event in missed:
            self._publish_event(event)

    def _on_connect_fail(self, client: Client, data: Any) -> None:
        self._fails("can't be reached")

    def _on_disconnect(self, client: Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        with self._lock:
            was = self._connected
            self._connected = False
        if was and reason.is_failure:
            self._fails("connection lost")

    def _fails(self, why: str) -> None:
        with self._lock:
            said, self._failing = self._failing, True
        if not said:
            self._say(f"{self._name}: {why}; trying again")

    # ------------------------------------------------------------------------------------------ messages

    def _publish_situation(self, situation: Situation) -> None:
        self._publish(self._topics.availability, b"online" if situation.online else b"offline", retain=True)
        state = {
            "people": list(situation.people),
            "who": ", ".join(situation.people)[:255],  # the longest state that Home Assistant takes
            "strangers": situation.strangers,
            "faces": situation.faces,
        }
        self._publish(self._topics.state, json.dumps(state).encode(), retain=True)

    def _publish_event(self, event: Event) -> None:
        plain = event.plain()
        plain["event_type"] = plain.pop("event")
        self._publish(self._topics.event, json.dumps(plain).encode())
        if self._pictures and event.crop is not None:
            self._publish(self._topics.picture, event.crop)

    def _publish(self, topic: str, payload: bytes, *, retain: bool = False) -> MQTTMessageInfo:
        return self._client.publish(topic, payload, qos=1, retain=retain)
