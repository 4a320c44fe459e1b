"""DeepFace's operations, answered by a facewire server: each takes a client and a request, and returns DeepFace's JSON.

Where a request names a `distance_metric`, distances, thresholds and embeddings are DeepFace's; where it names none, the
server's own decision is given in the same fields.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from facewire.client.errors import NoFace
from facewire.client.face_client import FaceClient, embedding_values
from facewire.client.web.deepface import distances
from facewire.client.web.deepface.asked import Asked, Embedding, Refused
from facewire.client.web.deepface.common import NOT_FOUND, Json, area_of, check_model, refuse_spoofing
from facewire.protocol.messages import (
    EMOTIONS,
    DetectedFace,
    EmbeddedFace,
    IdentifiedFace,
    ImageSize,
    Recipe,
    Verified,
)

_NO_AREA: Json = dict.fromkeys(("x", "y", "w", "h", "left_eye", "right_eye"))


@dataclass(frozen=True, slots=True)
class _Face:
    """An embedding and where it is from."""

    embedding: Embedding
    area: Json
    confidence: float
    model: str


def represent(client: FaceClient, asked: Asked) -> Json:
    """`/represent`: embeddings by DeepFace's recipe, of the network's own length. Raises Refused and ClientError."""
    most = asked.number("max_faces", least=1)
    per_picture = []
    for picture in asked.pictures("img"):
        faces = sorted(_embedded(client, asked, picture), key=lambda face: -face.area["w"] * face.area["h"])
        per_picture.append(
            [
                {"embedding": face.embedding, "facial_area": face.area, "face_confidence": face.confidence}
                for face in faces[:most]
            ]
        )
    return {"results": per_picture if len(per_picture) > 1 else per_picture[0]}


def verify(client: FaceClient, asked: Asked) -> Json:
    """`/verify`: do two pictures show the same person? Raises Refused and ClientError."""
    begun = time.perf_counter()
    refuse_spoofing(asked)
    pair = [asked.picture_or_embedding(key) for key in ("img1", "img2")]
    metric, detector = asked.text("distance_metric"), asked.detector
    one, other = pair
    verdict = None
    own = metric is None and detector == "yunet" and asked.flag("align", True)
    if own and isinstance(one, bytes) and isinstance(other, bytes):
        verdict = _own_verdict(client, asked, one, other)
    if verdict is None:
        verdict = _their_verdict(client, asked, pair, metric or "cosine")
    return verdict | {"time": round(time.perf_counter() - begun, 2)}


def analyze(client: FaceClient, asked: Asked) -> Json:
    """`/analyze`: emotions. Raises Refused and ClientError."""
    refuse_spoofing(asked)
    _check_actions(asked)
    if asked.detector == "skip":
        raise Refused("detector_backend 'skip' is not available here: emotions are read from faces that were found")
    several = asked.is_list("img")
    per_picture = [_emotions(client, asked, picture) for picture in asked.pictures("img")]
    return {"results": per_picture if several else per_picture[0]}


# ------------------------------------------------------------------------------------------ faces


def _whole(size: ImageSize) -> Json:
    """The area that DeepFace tells of a picture in which it has found no face."""
    return {"x": 0, "y": 0, "w": size.width - 1, "h": size.height - 1, "left_eye": None, "right_eye": None}


def _embedded(client: FaceClient, asked: Asked, picture: bytes, *, found: bool = False) -> list[_Face]:
    """The faces by DeepFace's recipe. `found`: areas as its extract_faces tells them, also of a whole picture."""
    refuse_spoofing(asked)
    skip = asked.detector == "skip"
    recipe: Recipe = "deepface" if asked.flag("align", True) else "deepface_unaligned"
    answer = client.embed(picture, recipe="deepface_whole" if skip else recipe)
    check_model(asked, answer.model)
    if skip:
        area = _whole(answer.image) if found else {"x": 0, "y": 0, "w": answer.image.width, "h": answer.image.height}
        return [_Face(_values(answer.faces[0]), area, 0, answer.model)]
    if answer.faces:
        return [
            _Face(_values(face), area_of(face, answer.image), round(face.detection, 2), answer.model)
            for face in answer.faces
        ]
    if asked.flag("enforce_detection", True):
        raise Refused(NOT_FOUND)
    whole = client.embed(picture, recipe="deepface_whole")
    return [_Face(_values(whole.faces[0]), _whole(whole.image), 0.0, whole.model)]


def _values(face: EmbeddedFace) -> Embedding:
    return list(embedding_values(face))


# ------------------------------------------------------------------------------------------ verify


def _their_verdict(client: FaceClient, asked: Asked, pair: Sequence[bytes | Embedding], metric: str) -> Json:
    """DeepFace's: the closest pair of faces, by its distance and threshold."""
    if metric not in distances.DISTANCES:
        raise Refused(f"distance_metric '{metric}' is not available; choose from {', '.join(distances.DISTANCES)}")
    sides = [
        [_Face(one, _NO_AREA, 0, asked.text("model_name") or "")]
        if isinstance(one, list)
        else _embedded(client, asked, one, found=True)
        for one in pair
    ]
    model = sides[0][0].model or sides[1][0].model
    if not distances.knows(model):
        raise Refused(f"model_name '{model}' has no thresholds" if model else "two embeddings need a model_name")
    measure = distances.DISTANCES[metric]
    if len({len(face.embedding) for side in sides for face in side}) > 1:
        raise Refused("the two embeddings differ in their number of dimensions")
    distance, one, other = min(
        ((round(measure(a.embedding, b.embedding), 6), a, b) for a, b in product(*sides)), key=lambda found: found[0]
    )
    needed = distances.threshold(model, metric)
    verified = distance <= needed
    return {
        "verified": verified,
        "distance": distance,
        "threshold": needed,
        "confidence": distances.confidence(model, metric, distance, verified=verified),
        "model": model,
        "detector_backend": asked.detector,
        "similarity_metric": metric,
        "facial_areas": {"img1": one.area, "img2": other.area},
    }


def _own_verdict(client: FaceClient, asked: Asked, one: bytes, other: bytes) -> Json | None:
    """The server's decision about the closest pair of faces; None where a picture has none and needs none."""
    seen = [client.detect(picture) for picture in (one, other)]
    if not all(answer.faces for answer in seen):
        if asked.flag("enforce_detection", True):
            raise Refused(NOT_FOUND)
        return None
    chosen = (0, 0)
    points: list[tuple[float, float] | None] = [None, None]
    if any(len(answer.faces) > 1 for answer in seen):
        embedded = [[_values(face) for face in client.embed(picture).faces] for picture in (one, other)]
        pairs = list(product(range(len(seen[0].faces)), range(len(seen[1].faces))))
        chosen = min(pairs, key=lambda at: distances.cosine(embedded[0][at[0]], embedded[1][at[1]]))
        points = [_middle(answer.faces[at]) for answer, at in zip(seen, chosen, strict=True)]
    try:
        verdict = client.verify(one, other, at=points[0], other_at=points[1])
    except NoFace as error:
        raise Refused(NOT_FOUND) from error
    check_model(asked, verdict.model)
    areas = [area_of(answer.faces[at], answer.image) for answer, at in zip(seen, chosen, strict=True)]
    return _told(verdict, areas)


def _told(verdict: Verified, areas: Sequence[Json]) -> Json:
    return {
        "verified": verdict.same,
        "distance": round(1 - verdict.similarity, 6),
        "threshold": 1 - verdict.threshold,
        "confidence": distances.own_confidence(verdict.similarity, verdict.threshold),
        "model": verdict.model,
        "detector_backend": "yunet",
        "similarity_metric": "cosine",
        "facial_areas": {"img1": areas[0], "img2": areas[1]},
    }


def _middle(face: DetectedFace) -> tuple[float, float]:
    x, y, width, height = face.box
    return x + width / 2, y + height / 2


# ------------------------------------------------------------------------------------------ analyze


def _check_actions(asked: Asked) -> None:
    said = asked.fields.get("actions")
    if isinstance(said, str):  # of a form: emotion,age or ["emotion", "age"]
        said = [word for word in said.translate(str.maketrans("", "", "[]()\"' ")).split(",") if word]
    actions = said if isinstance(said, list) else ["age", "gender", "emotion", "race"]
    known = ("emotion", "age", "gender", "race")
    unknown = [action for action in actions if action not in known]
    if unknown or not actions:
        raise Refused(f"Invalid action passed ({unknown}). Valid actions are `emotion`, `age`, `gender`, `race`.")
    missing = [action for action in known[1:] if action in actions]
    if missing:
        whose = "DeepFace's default asks for" if said is None else "this asks for"
        raise Refused(f"{', '.join(missing)} are not supported here, and {whose} them: send actions=['emotion']")


def _emotions(client: FaceClient, asked: Asked, picture: bytes) -> list[Json]:
    answer = client.identify(picture)
    if not answer.faces:
        raise Refused(
            NOT_FOUND
            if asked.flag("enforce_detection", True)
            else "enforce_detection=false is not available here, and no face was found: no emotion is read from a"
            " picture without one"
        )
    return [_emotion(face, answer.image) for face in answer.faces]


def _emotion(face: IdentifiedFace, size: ImageSize) -> Json:
    if face.emotion is None:
        raise Refused("emotion: this server reads none (it runs with --emotion off)")
    scores = face.emotion.scores
    return {
        "emotion": {name: 100 * scores.get(name, 0.0) for name in EMOTIONS},
        "dominant_emotion": face.emotion.label,
        "region": area_of(face, size),
        "face_confidence": round(face.detection, 2),
    }
