"""What `verify` says and what evaluate.py measures are the same numbers. Needs ../shared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facewire.protocol.messages import Identify, Verify
from facewire.server.app import compose
from facewire.server.gallery.records import NewPicture, NewTemplate
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.recognition.decision import Decider
from facewire.server.vision.analyser import Analyser
from lab.evaluation.scoring import Scorer

PEOPLE = 10


def test_verify_and_identify_agree_with_each_other_and_with_evaluate(
    facenet: Analyser, shared: Path, tmp_path: Path
) -> None:
    pictures = sorted((shared / "demographics" / "east_asian_women").glob("*.jpg"))[: 2 * PEOPLE]
    contents = [path.read_bytes() for path in pictures]
    found = [facenet.faces(content).faces[0] for content in contents]
    probes = facenet.probes([face.crop for face in found])
    templates = facenet.templates([face.crop for face in found[:PEOPLE]])
    others = facenet.templates([face.crop for face in found[PEOPLE:]])
    scorer = Scorer(facenet.spec)
    assert scorer.normalised, "the shipped cohort is of these weights"
    with SqliteGallery.create(tmp_path / "g.db", facenet.spec) as gallery:
        for number in range(PEOPLE):
            face = found[number]
            template = NewTemplate(templates[number], face.box, face.landmarks, face.detection)
            path = pictures[number].name
            gallery.enrol(path, [NewPicture(f"{number:064x}", 1, path, 224, 224, (template,))])
        decider = Decider(facenet.spec, 0.01, normalised=gallery.cohort is not None)
        recognition = compose(facenet, gallery, 0.01, runtime="openvino")
        service = recognition.recogniser
        scores = scorer.pairs(others, templates)
        for number in range(PEOPLE):
            verified = service.verify(Verify(contents[PEOPLE + number], contents[number]))
            (seen,) = service.identify(Identify(contents[PEOPLE + number], k=PEOPLE, emotion=False)).faces
            candidate = next(one for one in seen.candidates if one.name == pictures[number].name)
            assert candidate.similarity == pytest.approx(float(templates[number] @ probes[PEOPLE + number]), abs=1e-4)
            assert verified.similarity == pytest.approx(float(templates[number] @ others[number]), abs=1e-4)
            back = service.verify(Verify(contents[number], contents[PEOPLE + number]))
            assert back.similarity == pytest.approx(verified.similarity, abs=1e-4)
            assert verified.same == (scores[number] >= decider.verification_threshold())
            assert verified.false_match == pytest.approx(decider.false_match_alike(scores[number]), abs=1e-4)
            assert verified.false_match_at_large == pytest.approx(
                decider.false_match_at_large(scores[number]), abs=1e-4
            )
            ranked = scorer.matrix(probes[[PEOPLE + number]], templates)[0]
            order = [pictures[row].name for row in np.argsort(-ranked)]
            assert [one.name for one in seen.candidates] == order
            assert seen.false_match == pytest.approx(
                decider.false_match(float(ranked.max()), PEOPLE, recognition.judge.offset), abs=1e-4
            )
