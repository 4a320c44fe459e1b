"""DeepFace's database, kept in the gallery: `/register`, `/search` and `/build/index`.

A picture that is registered becomes a person called `img_name`.
"""

from __future__ import annotations

import uuid

from facewire.client.face_client import FaceClient
from facewire.client.web.deepface import distances
from facewire.client.web.deepface.asked import Asked, Refused
from facewire.client.web.deepface.common import NOT_FOUND, Json, area_of, check_model, refuse_spoofing
from facewire.protocol.messages import MAX_CANDIDATES, Identified, IdentifiedFace


def register(client: FaceClient, asked: Asked) -> Json:
    """`/register`: enrols the face as a person called `img_name`. Raises Refused and ClientError."""
    _check_gallery_options(asked)
    picture = asked.picture("img")
    if asked.text("model_name") is not None:
        check_model(asked, client.embed(picture).model)
    name = asked.text("img_name") or str(uuid.uuid4())
    # In DeepFace's database every picture stands for itself, so another of the same person is no mistake
    enrolled = client.enrol(name, picture, label=name, accept=("nearer_to_another",))
    if not enrolled.templates:
        raise Refused(f"{name}: {enrolled.rejected[0].message}")
    return {"inserted": len(enrolled.templates)}


def search(client: FaceClient, asked: Asked) -> Json:
    """`/search`: who of those registered is it? Raises Refused and ClientError."""
    _check_gallery_options(asked)
    method = asked.text("search_method") or "exact"
    normalised = asked.flag("l2_normalize", False)
    metric = _search_metric(asked, method, normalised)
    most = asked.number("k", least=1)
    results = []
    for picture in asked.pictures("img"):
        answer = client.identify(picture, k=min(most or MAX_CANDIDATES, MAX_CANDIDATES), emotion=False)
        check_model(asked, answer.model)
        if not answer.faces and asked.flag("enforce_detection", True):
            raise Refused(NOT_FOUND)
        if not answer.faces:
            raise Refused(
                "enforce_detection=false is not available here, and no face was found: nothing is searched for"
            )
        told = {"l2_normalized": normalised, "search_method": method}
        results += [_found(asked, face, answer, metric, most, told) for face in answer.faces]
    return {"results": results}


def build_index(client: FaceClient, asked: Asked) -> Json:
    """`/build/index`: nothing to do, as the server's index is always up to date."""
    _check_gallery_options(asked)
    client.ping()
    return {"message": "Index built successfully"}


def _check_gallery_options(asked: Asked) -> None:
    """Refuses what can't be said of embeddings that the server makes and keeps."""
    refuse_spoofing(asked)
    if asked.detector == "skip":
        raise Refused("detector_backend 'skip' is not available here: the gallery works only with detected faces")
    if not asked.flag("align", True):
        raise Refused("align=false is not available here: the gallery's faces are upright")
    if asked.number("expand_percentage", least=0):
        raise Refused("expand_percentage is not available here: the gallery's faces are cut out in one way")
    normalisation = asked.text("normalization")
    if normalisation not in (None, "base"):
        raise Refused(f"normalization '{normalisation}' is not available here: the gallery has one of its own")


def _search_metric(asked: Asked, method: str, normalised: bool) -> str | None:
    """The distance asked for, with DeepFace's own changes to it; None: the server decides."""
    metric = asked.text("distance_metric")
    if method == "ann":
        metric = "cosine" if normalised else "euclidean"
    elif method != "exact":
        raise Refused(f"Unsupported search method: {method}")
    elif normalised and metric == "euclidean":
        metric = "euclidean_l2"
    if metric == "euclidean":
        raise Refused(
            "distance_metric 'euclidean' is not available here, nor search_method 'ann' with it: the gallery keeps unit"
            " vectors; name cosine, angular or euclidean_l2, or l2_normalize=true"
        )
    if metric is not None and metric not in distances.DISTANCES:
        raise Refused(f"Unsupported distance metric: {metric}")
    return metric


def _published(model: str, metric: str) -> float:
    if not distances.knows(model):
        raise Refused(f"distance_metric '{metric}': DeepFace has no threshold for {model}; leave it out")
    return distances.threshold(model, metric)


def _found(
    asked: Asked, face: IdentifiedFace, answer: Identified, metric: str | None, most: int | None, told: Json
) -> list[Json]:
    """Those enrolled who look like this face, closest first."""
    if not face.candidates:
        raise Refused("No embeddings found in the database: you must register some before using search.")
    alike = asked.flag("similarity_search", False)
    if metric is None:
        needed, known = 1 - face.threshold, face.decision != "unknown"
    else:
        needed, known = _published(answer.model, metric), True
    area = area_of(face, answer.image)
    instances = []
    for candidate in face.candidates:
        distance = distances.of_similarity(metric or "cosine", candidate.similarity)
        verified = known and distance <= needed
        if not verified and not alike:
            continue
        certain = (
            distances.own_confidence(candidate.similarity, face.threshold)
            if metric is None
            else distances.confidence(answer.model, metric, distance, verified=verified)
        )
        instances.append(
            {
                "id": candidate.name,
                "img_name": candidate.image,
                "model_name": answer.model,
                "detector_backend": "yunet",
                "aligned": True,
                **told,
                **{f"target_{side}": area[side] for side in "xywh"},
                "threshold": needed,
                "distance_metric": metric or "cosine",
                "distance": distance,
                "confidence": certain,
            }
        )
    if len(instances) == MAX_CANDIDATES and (most is None or most > MAX_CANDIDATES):
        raise Refused(f"'k' must be from 1 to {MAX_CANDIDATES} here: no more than {MAX_CANDIDATES} are returned")
    return sorted(instances, key=lambda instance: float(instance["distance"]))
