"""FaceNet in 8-bit integers decides as in float32, and the two may be compared with each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facewire.server.errors import StartError
from facewire.server.vision.analyser import Analyser
from facewire.server.vision.emotion import EmotionSpec
from facewire.server.vision.facenet import Precision, rounding_path
from facewire.server.vision.identity import canonical
from facewire.server.vision.image import Pixels
from facewire.server.vision.models import DEFAULT_MODEL, model_card
from facewire.server.vision.opening import EMOTION_MODEL, VisionSettings, open_analyser, open_embedder
from facewire.server.vision.quantisation import Rounding
from facewire.server.vision.runtime import Floats
from facewire.server.vision.weights import WeightsFinder
from lab.evaluate import parse
from lab.evaluation import precisions

CARD = model_card(DEFAULT_MODEL)
PRECISIONS: tuple[Precision, ...] = ("f32", "int8")
PEOPLE = 40


@pytest.fixture(scope="module")
def crops(facenet: Analyser, shared: Path) -> list[Pixels]:
    """Two pictures of each of PEOPLE people: all first ones, then all second ones."""
    folders = [folder for folder in sorted((shared / "lfw").iterdir()) if len(list(folder.iterdir())) > 1][:PEOPLE]
    pictures = [sorted(folder.iterdir())[number] for number in (0, 1) for folder in folders]
    return [facenet.faces(picture.read_bytes()).faces[0].crop for picture in pictures]


@pytest.fixture(scope="module")
def looks(crops: list[Pixels], weights_dir: Path) -> dict[str, tuple[Floats, Floats]]:
    """Embeddings and the emotion head's logits, by precision."""
    emotions, finder = EmotionSpec.load(EMOTION_MODEL), WeightsFinder(weights_dir, None)
    opened = {each: open_embedder(CARD, VisionSettings(precision=each), finder, emotions) for each in PRECISIONS}
    assert {embedder.spec for embedder in opened.values()} == {CARD.spec(str(canonical(CARD)))}  # one gallery for both
    assert [embedder.precision for embedder in opened.values()] == list(PRECISIONS)
    return {each: embedder.look(crops) for each, embedder in opened.items()}


def test_embeddings_of_one_face_hardly_differ(looks: dict[str, tuple[Floats, Floats]]) -> None:
    cosines = np.sum(looks["f32"][0] * looks["int8"][0], axis=1)
    assert np.median(cosines) > 0.999
    assert cosines.min() > 0.985


@pytest.mark.parametrize("probe", PRECISIONS)
@pytest.mark.parametrize("template", PRECISIONS)
def test_a_template_of_either_serves_a_probe_of_either(
    looks: dict[str, tuple[Floats, Floats]], probe: str, template: str
) -> None:
    """Each second picture is nearest to the first of the same person, as often as in float32; and what strangers'
    similarities rise by is a tenth of how they scatter."""
    exact = looks["f32"][0][PEOPLE:] @ looks["f32"][0][:PEOPLE].T
    found = looks[probe][0][PEOPLE:] @ looks[template][0][:PEOPLE].T
    right = np.mean(found.argmax(axis=1) == np.arange(PEOPLE))
    assert right >= np.mean(exact.argmax(axis=1) == np.arange(PEOPLE)) - 1 / PEOPLE
    strangers = ~np.eye(PEOPLE, dtype=bool)
    assert abs(found[strangers].mean() - exact[strangers].mean()) < 0.1 * exact[strangers].std()
    assert np.percentile(np.abs(found - exact), 99) < 0.03


def test_the_emotion_head_reads_the_same(looks: dict[str, tuple[Floats, Floats]]) -> None:
    exact, found = looks["f32"][1], looks["int8"][1]
    assert exact.shape == found.shape == (2 * PEOPLE, 7)
    assert np.abs(found - exact).mean() < 0.1  # of logits whose deviation is 1.3
    assert np.mean(found.argmax(axis=1) == exact.argmax(axis=1)) > 0.93


def test_the_compiled_network_is_kept_once(weights_dir: Path, facenet: Analyser, tmp_path: Path) -> None:
    """Whatever else the process built before: a file of 30 MB for every start would fill the disk."""
    assert facenet.spec.model == CARD.name  # so FaceNet was converted
    for facts in VisionSettings().cache_dir.glob("*/facts.json"):
        (tmp_path / facts.parent.name).symlink_to(facts.parent)
    finder = WeightsFinder(weights_dir, None)
    for _ in range(2):
        open_embedder(CARD, VisionSettings(cache_dir=tmp_path, precision="int8"), finder)
    own = [entry for entry in tmp_path.iterdir() if not entry.is_symlink()]  # behind a link may be the f32 network's
    assert len([blob for entry in own for blob in entry.glob("*/*.blob")]) == 1


def test_the_numbers_are_of_the_known_network() -> None:
    how = Rounding.load(rounding_path(CARD))
    assert how.network == canonical(CARD)
    assert len(how.kernels) == len(how.rounded) == len(how.outputs) == len(how.sums) == 132


def test_other_models_have_none(tmp_path: Path, weights_dir: Path) -> None:
    with pytest.raises(StartError, match="--precision int8 is for Facenet512, not for Dlib"):
        open_analyser(VisionSettings(model="Dlib", precision="int8", weights_dir=weights_dir, cache_dir=tmp_path))


@pytest.mark.parametrize("sides", ["int8 x int8", "int8 x f32", "f32 x int8"])
def test_as_many_pairs_of_all_people_are_accepted(gate: dict[str, Any], sides: str) -> None:
    """The gate itself is `evaluate.py precisions` over all of LFW (docs/decisions/0055), which takes many minutes.
    Chance moves the TAR of two pictures a person more, so the bars are wider."""
    assert gate["pictures"] > 1400
    for far, bar in (("0.001", -0.006), ("0.0001", -0.012)):
        assert gate["sides"][sides]["change"][far] >= bar
    for asked, obtained in gate["sides"][sides]["far_at_thresholds_of_f32"].items():
        assert obtained == pytest.approx(float(asked), rel=0.3)


@pytest.fixture(scope="module")
def gate(shared: Path, weights_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("pairs")
    for person in (shared / "lfw").iterdir():
        if len(pictures := sorted(person.iterdir())) > 1:
            (folder / person.name).mkdir()
            for picture in pictures[:2]:
                (folder / person.name / picture.name).symlink_to(picture.resolve())
    words = ["precisions", "--images", str(folder), "--weights-dir", str(weights_dir), "--no-download"]
    return precisions.run(parse([*words, "--json"]))
