"""create_db on real files and a real SQLite, with painted faces instead of a network."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from facewire.server.gallery.records import Counts
from facewire.server.gallery.sqlite import SqliteGallery as Gallery
from facewire.server.maintenance.create_db import main
from tests.support.galleries import picture
from tests.support.synthetic_engine import SyntheticEngine, draw, embedding_of, portrait


class Project:
    """A folder of people and the database built from it."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "faces"
        self.db = root / "out" / "people.db"
        self.log = self.db.with_name("people.db.skipped.txt")
        self.engine = SyntheticEngine()
        self.folder.mkdir()

    def put(self, path: str, data: bytes) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        return file

    def build(
        self, *extra: str, before_embedding: Callable[[int], object] | None = None, model: str = "Synthetic"
    ) -> int:
        self.engine = SyntheticEngine(model=model, before_embedding=before_embedding)
        arguments = [str(self.folder), "--db", str(self.db), "--jobs", "2", *extra]
        return main(arguments, open_engine=lambda choice: self.engine)

    def who(self, number: int) -> str:
        """The name that the face of that colour is known by."""
        with Gallery.open(self.db) as gallery:
            (match,) = gallery.search(embedding_of(number), 1)
            return match.name if match.similarity > 0.99 else "nobody"

    def counts(self) -> Counts:
        with Gallery.open(self.db) as gallery:
            return gallery.counts()

    def names(self) -> list[str]:
        with Gallery.open(self.db) as gallery:
            return [record.name for record in gallery.people()[0]]

    def skipped(self) -> dict[str, str]:
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        return dict(line.split("\t") for line in lines)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_any_nesting_and_any_case_of_extension(project: Project) -> None:
    project.put("Ann_Lee/Ann_Lee_0001.jpg", portrait(1, extension=".jpg"))
    project.put("Ann_Lee/2019/summer/beach.PNG", portrait(2))
    project.put("Bob/b.WebP", portrait(3, extension=".webp"))
    project.put("Bob/c.bmp", portrait(4, extension=".bmp"))
    project.put("Bob/d.JPEG", portrait(5, extension=".jpg"))
    assert project.build() == 0
    assert [project.who(number) for number in (1, 2, 3, 4, 5, 6)] == [
        "Ann Lee",
        "Ann Lee",
        "Bob",
        "Bob",
        "Bob",
        "nobody",
    ]
    assert project.counts() == Counts(2, 5, 5)
    assert not project.log.exists()
    with Gallery.open(project.db) as gallery:
        assert gallery.search(embedding_of(2), 1)[0].image == "Ann_Lee/2019/summer/beach.PNG"


def test_folders_that_give_one_name_are_one_person(project: Project) -> None:
    project.put("Ann_Lee/1.png", portrait(1))
    project.put("Ann Lee/1.png", portrait(2))
    project.put("_Ann__Lee_/1.png", portrait(3))
    project.put("Jose\u0301/1.png", portrait(4))
    project.put("Jos\u00e9/1.png", portrait(5))
    project.put("Łukasz_Żółć/1.png", portrait(6))
    project.put("张伟/1.png", portrait(7))
    assert project.build() == 0
    assert project.names() == ["Ann Lee", "José", "Łukasz Żółć", "张伟"]


def test_nothing_odd_stops_it_and_every_reason_is_logged(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.put("Ann/good.png", portrait(1))
    project.put("readme.txt", b"hello")
    project.put("stray.png", portrait(2))
    (project.folder / "Empty").mkdir()
    project.put("___/a.png", portrait(3))
    project.put("Ann/notes.txt", b"hello")
    project.put("Ann/text.jpg", b"hello")
    project.put("Ann/empty.jpg", b"")
    project.put("Ann/cut.png", portrait(4)[:40])
    project.put("Ann/nobody.png", draw())
    project.put("Ann/copy.png", portrait(1))
    os.mkfifo(project.folder / "Ann" / "pipe.jpg")
    (project.folder / "Ann" / "dangling.jpg").symlink_to("nowhere.jpg")
    project.put("Ann/tab\there.png", b"hello")
    project.put("Ann/.hidden.png", portrait(5))
    project.put("Ann/._x.jpg", b"hello")
    project.put(".DS_Store", b"hello")
    assert project.build() == 0
    assert project.counts() == Counts(1, 1, 1)
    skipped = project.skipped()
    broken = {path for path, reason in skipped.items() if reason.startswith("broken picture: ")}
    assert broken == {"Ann/text.jpg", "Ann/empty.jpg", "Ann/cut.png", "Ann/tab\\there.png"}
    assert {path: reason for path, reason in skipped.items() if path not in broken} == {
        "readme.txt": "beside the people's folders, not in one",
        "stray.png": "beside the people's folders, not in one",
        "___": "name that can't be used: a person needs a name",
        "Ann/notes.txt": "not a picture, by its name and its first bytes",
        "Ann/nobody.png": "no face found",
        "Ann/good.png": "same bytes as another picture of the person: Ann/copy.png",
        "Ann/pipe.jpg": "not a regular file",
        "Ann/dangling.jpg": "can't be read: No such file or directory",
    }
    shown = capsys.readouterr()
    assert "1 person, 1 picture, 1 template in" in shown.out
    assert "3 service files left out" in shown.out
    assert "1 new, 0 changed, 0 unchanged, 12 skipped" in shown.out
    assert "skipped 4: broken picture" in shown.out
    assert str(project.log) in shown.out
    assert "pictures/s" in shown.err


def test_the_log_goes_when_there_is_nothing_to_say(project: Project) -> None:
    project.put("Ann/1.png", portrait(1))
    bad = project.put("Ann/2.png", b"hello")
    project.build()
    assert project.log.exists()
    bad.unlink()
    project.build()
    assert not project.log.exists()


def test_what_may_not_be_read_is_skipped(project: Project) -> None:
    project.put("Ann/1.png", portrait(1))
    closed = project.put("Ann/2.png", portrait(2))
    closed.chmod(0)
    if os.access(closed, os.R_OK):
        pytest.skip("this user (root) may read everything")
    project.put("Bob/sub/1.png", portrait(3)).parent.chmod(0)
    try:
        assert project.build() == 0
    finally:
        (project.folder / "Bob" / "sub").chmod(0o700)
    assert project.skipped() == {
        "Ann/2.png": "can't be read: Permission denied",
        "Bob/sub": "can't be read: Permission denied",
    }


def test_names_that_are_no_utf8_are_skipped(project: Project) -> None:
    project.put("Ann/1.png", portrait(1))
    odd = os.fsencode(project.folder / "Ann") + b"/\xff.png"
    with open(odd, "wb") as file:  # noqa: PTH123 - a pathlib.Path holds no bytes
        file.write(portrait(2))
    assert project.build() == 0
    assert project.skipped() == {"Ann/\\udcff.png": "name that can't be used: not UTF-8"}


def test_links_are_followed_but_never_round(project: Project, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "far.png").write_bytes(portrait(2))
    project.put("Ann/1.png", portrait(1))
    (project.folder / "Ann" / "far").symlink_to(tmp_path / "elsewhere")
    (project.folder / "Ann" / "again").symlink_to(tmp_path / "elsewhere")
    (project.folder / "Ann" / "round").symlink_to(project.folder / "Ann")
    (project.folder / "Ann" / "self").symlink_to("self")
    (project.folder / "Up").symlink_to(project.folder)
    (project.folder / "Above").symlink_to(tmp_path)
    assert project.build() == 0
    assert project.names() == ["Ann"]
    assert project.counts().templates == 2


def test_of_several_faces_the_largest_central_one(project: Project) -> None:
    project.put("Ann/1.png", draw((1, (0, 0, 20, 20)), (2, (25, 16, 18, 18))))
    assert project.build() == 0
    assert (project.who(1), project.who(2)) == ("nobody", "Ann")


def test_run_again_it_embeds_only_what_is_new_or_changed(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(1, 6):
        project.put(f"Ann/{number}.png", portrait(number))
    assert project.build() == 0
    assert project.engine.embedded == 5
    assert project.build() == 0
    assert (project.engine.looked_at, project.engine.embedded) == (0, 0)

    os.utime(project.folder / "Ann" / "1.png", ns=(1, 1))  # touched: read again, nothing more
    project.put("Ann/2.png", portrait(20))  # changed
    project.put("Bob/1.png", portrait(30))  # new
    (project.folder / "Ann" / "3.png").rename(project.folder / "Ann" / "moved.png")
    (project.folder / "Ann" / "4.png").unlink()
    capsys.readouterr()
    assert project.build() == 0
    assert (project.engine.looked_at, project.engine.embedded) == (2, 2)
    assert "1 new, 1 changed, 3 unchanged, 0 skipped, 1 gone from the folder" in capsys.readouterr().out
    assert [project.who(number) for number in (1, 2, 20, 3, 4, 30)] == ["Ann", "nobody", "Ann", "Ann", "Ann", "Bob"]
    with Gallery.open(project.db) as gallery:
        assert gallery.search(embedding_of(3), 1)[0].image == "Ann/moved.png"

    assert project.build() == 0
    assert (project.engine.looked_at, project.engine.embedded) == (0, 0)
    assert project.skipped() == {"Ann/4.png": "gone from the folder; stays enrolled"}


def test_files_that_changed_places(project: Project) -> None:
    one, two = project.put("Ann/1.png", portrait(1)), project.put("Ann/2.png", portrait(2))
    project.build()
    one.write_bytes(portrait(2))
    two.write_bytes(portrait(1))
    for file in (one, two):
        os.utime(file, ns=(1, 1))
    assert project.build() == 0
    assert project.engine.embedded == 0
    with Gallery.open(project.db) as gallery:
        assert [gallery.search(embedding_of(n), 1)[0].image for n in (1, 2)] == ["Ann/2.png", "Ann/1.png"]


def test_a_changed_picture_that_is_broken_keeps_its_old_template(project: Project) -> None:
    project.put("Ann/1.png", portrait(1))
    project.build()
    project.put("Ann/1.png", b"half a copy")
    assert project.build() == 3
    assert project.who(1) == "Ann"


# What is gone from the folder


def four_of_ann(project: Project) -> None:
    for number in range(1, 5):
        project.put(f"Ann/{number}.png", portrait(number))
    project.put("Bob/1.png", portrait(9))
    project.put("Bob/2.png", portrait(10))
    assert project.build() == 0


def test_prune_removes_what_is_gone_and_who_has_nothing_left(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    four_of_ann(project)
    with Gallery.open(project.db) as gallery:
        gallery.enrol("Zoe", [picture("wire", embedding_of(20))])
    shutil.rmtree(project.folder / "Bob")
    (project.folder / "Ann" / "1.png").rename(project.folder / "Ann" / "moved.png")
    capsys.readouterr()
    assert project.build() == 0
    assert "gone from the folder 2: stays enrolled (--prune removes what is gone)" in capsys.readouterr().out
    assert project.names() == ["Ann", "Bob", "Zoe"]
    assert project.build("--prune") == 0
    assert "gone from the folder 2: removed" in capsys.readouterr().out
    assert project.names() == ["Ann", "Zoe"]
    assert project.counts() == Counts(2, 5, 5)
    content(project.db)


def test_prune_leaves_another_folders_pictures_alone(project: Project) -> None:
    four_of_ann(project)
    project.folder = project.folder.with_name("more")
    project.put("Cleo/1.png", portrait(30))
    assert project.build("--prune") == 0
    assert project.names() == ["Ann", "Bob", "Cleo"]


def test_prune_of_somebody_whose_folder_got_a_new_picture(project: Project) -> None:
    four_of_ann(project)
    for number in (1, 2):
        (project.folder / "Bob" / f"{number}.png").unlink()
    project.put("Bob/3.png", portrait(11))
    assert project.build("--prune") == 0
    assert [project.who(number) for number in (9, 10, 11)] == ["nobody", "nobody", "Bob"]


def test_prune_does_not_take_a_missing_disk_for_an_order(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    four_of_ann(project)
    before = content(project.db)
    aside = project.folder.with_name("aside")
    project.folder.rename(aside)
    assert project.build("--prune") == 2  # no folder
    project.folder.mkdir()
    assert project.build("--prune") == 3  # an empty one
    shutil.copytree(aside / "Bob", project.folder / "Bob")
    shutil.copystat(aside / "Bob" / "1.png", project.folder / "Bob" / "1.png")
    capsys.readouterr()
    assert project.build("--prune") == 2  # most of it gone
    assert "4 of 6 pictures are gone from the folder: is it the right one?" in capsys.readouterr().err
    assert content(project.db) == before
    assert project.build("--prune", "--force") == 0
    assert project.names() == ["Bob"]


def test_an_emptied_folder_is_pruned_by_force_only(project: Project) -> None:
    four_of_ann(project)
    shutil.rmtree(project.folder)
    project.folder.mkdir()
    assert project.build("--prune") == 3
    assert project.build("--prune", "--force") == 0
    assert project.counts() == Counts(0, 0, 0)


def test_prune_waits_where_something_can_not_be_read(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    four_of_ann(project)
    (project.folder / "Ann" / "1.png").unlink()
    (project.folder / "Bob" / "1.png").unlink()
    (project.folder / "Bob" / "1.png").symlink_to("nowhere.png")  # like a folder on a disk that is not there
    assert project.build("--prune") == 2
    assert "Bob/1.png can't be read: nothing is removed, unless --force" in capsys.readouterr().err
    assert project.counts().images == 6
    assert project.build("--prune", "--force") == 0
    assert [project.who(number) for number in (1, 9)] == ["nobody", "Bob"]  # what can't be read isn't gone


def test_a_dry_run_says_what_would_happen_and_writes_nothing(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    four_of_ann(project)
    before = project.db.read_bytes()
    (project.folder / "Ann" / "1.png").unlink()
    (project.folder / "Ann" / "2.png").rename(project.folder / "Ann" / "moved.png")
    project.put("Ann/3.png", portrait(40))
    project.put("Cleo/1.png", portrait(41))
    capsys.readouterr()
    assert project.build("--dry-run", "--prune") == 0
    assert capsys.readouterr().out.splitlines() == [
        "Cleo/1.png\twould be read: new",
        "Ann/3.png\twould be read: changed",
        "Ann/2.png\tmoved to Ann/moved.png",
        "Ann/1.png\twould be removed",
        "1 new, 1 changed, 1 moved, 3 unchanged, 1 gone; nothing was written",
    ]
    assert project.engine.looked_at == 0
    assert project.db.read_bytes() == before
    project.build("--dry-run")
    assert "Ann/1.png\tgone from the folder; stays enrolled without --prune" in capsys.readouterr().out


# The same picture in another format or size


def resaved(data: bytes, extension: str, scale: float = 1.0) -> bytes:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return cv2.imencode(extension, cv2.resize(image, None, fx=scale, fy=scale))[1].tobytes()


def test_copies_of_a_picture_are_stored_once(project: Project) -> None:
    project.put("Ann/a.png", portrait(1))
    project.put("Ann/b.jpg", resaved(portrait(1), ".jpg"))
    project.put("Ann/c.png", portrait(1, shade=5))  # another picture of the same face
    assert project.build() == 0
    assert project.counts() == Counts(1, 2, 2)
    project.put("Ann/d.png", resaved(portrait(1), ".png", 1.5))
    project.put("Bob/e.jpg", resaved(portrait(1), ".jpg"))  # somebody else's: a mislabel perhaps, but not ours to drop
    assert project.build() == 0
    assert project.counts() == Counts(2, 3, 3)
    assert project.skipped() == {
        "Ann/b.jpg": "another picture of the person, re-encoded or resized: Ann/a.png",
        "Ann/d.png": "another picture of the person, re-encoded or resized: Ann/a.png",
    }


def test_a_picture_saved_anew_in_its_place_replaces_itself(project: Project) -> None:
    project.put("Ann/a.png", portrait(1))
    project.build()
    project.put("Ann/a.png", resaved(portrait(1), ".png", 2))
    assert project.build() == 0
    assert project.counts() == Counts(1, 1, 1)
    assert project.skipped() == {}
    assert project.build() == 0
    assert project.engine.looked_at == 0


def test_a_folder_converted_to_another_format_takes_the_place_of_the_old(project: Project) -> None:
    for number in (1, 2, 3):
        project.put(f"Ann/{number}.png", portrait(number))
    project.build()
    for number in (1, 2, 3):
        (project.folder / "Ann" / f"{number}.png").unlink()
        project.put(f"Ann/{number}.jpg", resaved(portrait(number), ".jpg"))
    assert project.build() == 0
    assert project.counts() == Counts(1, 3, 3)
    assert project.skipped() == {}
    with Gallery.open(project.db) as gallery:
        assert gallery.search(embedding_of(2), 1)[0].image == "Ann/2.jpg"


def test_what_came_over_the_wire_is_recognised_in_the_folder(project: Project) -> None:
    project.put("Ann/1.png", portrait(1))
    project.build()
    data = portrait(2)
    wired = replace(picture("wire", embedding_of(2)), fingerprint=project.engine.fingerprint(data))
    with Gallery.open(project.db) as gallery:
        assert gallery.enrol("Ann", [wired]).person.images == 2
        again = replace(
            picture("again", embedding_of(2)), fingerprint=project.engine.fingerprint(resaved(data, ".jpg"))
        )
        assert gallery.enrol("Ann", [again]).person.images == 2
    project.put("Ann/2.jpg", resaved(data, ".jpg"))
    assert project.build() == 0
    assert project.counts() == Counts(1, 2, 2)


# What is there already, continued


def test_a_folder_that_moved_is_not_embedded_again(project: Project) -> None:
    project.put("Ann/1.png", portrait(1))
    project.build()
    project.folder = Path(shutil.move(project.folder, project.folder.with_name("moved")))
    assert project.build() == 0
    assert project.engine.embedded == 0
    assert project.counts() == Counts(1, 1, 1)


def test_a_second_folder_adds_to_the_first(project: Project) -> None:
    """The same relative name in another folder is another picture."""
    project.put("Ann/1.png", portrait(1))
    project.build()
    project.folder = project.folder.with_name("more")
    project.put("Ann/1.png", portrait(2))
    assert project.build() == 0
    assert project.counts() == Counts(1, 2, 2)


def test_the_same_bytes_under_two_people_are_kept_and_pointed_out(project: Project) -> None:
    project.put("Ann/1.png", portrait(1))
    project.put("Bob/1.png", portrait(1))
    assert project.build() == 0
    assert project.counts() == Counts(2, 2, 2)
    assert project.skipped() == {
        "Ann/1.png": "also under Bob (a likely mislabel)",
        "Bob/1.png": "also under Ann (a likely mislabel)",
    }


def test_two_builds_of_one_folder_are_equal(project: Project, tmp_path: Path) -> None:
    for number in range(1, 41):
        project.put(f"P{number % 9}/{number}.png", portrait(number))
    project.build()
    first = content(project.db)
    project.db = tmp_path / "second.db"
    project.build("--jobs", "4")
    assert content(project.db) == first


def content(db: Path) -> list[tuple[object, ...]]:
    """Everything that matters in a database, and that SQLite finds nothing wrong with it."""
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        query = (
            "SELECT t.id, i.id, p.id, p.name, i.path, i.sha256, i.size, i.mtime_ns, t.x, t.y, t.w, t.h, t.landmarks,"
            " t.embedding FROM templates t JOIN images i ON i.id = t.image_id JOIN people p ON p.id = t.person_id"
            " ORDER BY t.id"
        )
        return connection.execute(query).fetchall()


# What is there already


def test_another_model_is_refused_without_rebuild(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.put("Ann/1.png", portrait(1))
    project.build()
    before = content(project.db)
    assert project.build("--model", "Other", model="Other") == 2
    assert "holds embeddings of Synthetic, not Other: choose another --db, or --rebuild" in capsys.readouterr().err
    assert project.build(model="Other") == 2  # the same name by chance, another spec
    assert "choose another --db, or --rebuild" in capsys.readouterr().err
    assert content(project.db) == before


def test_rebuild_forgets_everything(project: Project) -> None:
    project.put("Ann/1.png", portrait(1))
    project.build()
    with Gallery.open(project.db) as gallery:
        gallery.enrol("Zoe", [picture("wire", embedding_of(9))])
    assert project.build("--rebuild", "--model", "Other", model="Other") == 0
    assert project.names() == ["Ann"]
    with Gallery.open(project.db) as gallery:
        assert gallery.spec.model == "Other"


def test_a_rebuild_that_finds_nobody_changes_nothing(project: Project) -> None:
    file = project.put("Ann/1.png", portrait(1))
    project.build()
    file.write_bytes(b"hello")
    assert project.build("--rebuild") == 3
    assert project.who(1) == "Ann"


def test_a_file_that_is_no_database_is_never_overwritten(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.put("Ann/1.png", portrait(1))
    project.db.parent.mkdir()
    project.db.write_bytes(b"my diary")
    for extra in ((), ("--rebuild",)):
        assert project.build(*extra) == 2
        assert "is not a database" in capsys.readouterr().err
    assert project.db.read_bytes() == b"my diary"


@pytest.mark.parametrize(("folder", "code"), [("missing", 2), ("faces", 3)])
def test_nothing_to_build_from(project: Project, tmp_path: Path, folder: str, code: int) -> None:
    assert main([str(tmp_path / folder), "--db", str(project.db)], open_engine=lambda choice: SyntheticEngine()) == code
    assert not project.db.exists()


def test_nobody_to_enrol_makes_no_database(project: Project) -> None:
    project.put("Ann/1.png", draw())
    assert project.build() == 3
    assert not project.db.exists()
    assert project.skipped() == {"Ann/1.png": "no face found"}


def test_a_linked_database_stays_a_link(project: Project, tmp_path: Path) -> None:
    project.put("Ann/1.png", portrait(1))
    real = tmp_path / "real.db"
    project.db.parent.mkdir()
    project.db.symlink_to(real)
    assert project.build() == 0
    assert project.db.is_symlink()
    assert real.is_file()


# Somebody else has it open


def test_a_server_on_the_old_database_sees_all_of_it_and_loses_nothing(project: Project) -> None:
    for number in range(1, 5):
        project.put(f"Old/{number}.png", portrait(number))
    project.build()
    for number in range(10, 60):
        project.put(f"New {number}/{number}.png", portrait(number))
    server = Gallery.open(project.db)
    reader = sqlite3.connect(project.db, isolation_level=None)
    reader.execute("BEGIN")
    count = "SELECT count(*) FROM templates"
    assert reader.execute(count).fetchone() == (4,)

    def meanwhile(embedded: int) -> None:
        if embedded == 0:
            server.enrol("Zoe", [picture("wire", embedding_of(9))])
        assert server.search(embedding_of(2), 1)[0].name == "Old"

    assert project.build(before_embedding=meanwhile) == 0
    assert reader.execute(count).fetchone() == (4,)
    assert server.counts() == Counts(2, 5, 5)
    assert server.search(embedding_of(2), 1)[0].name == "Old"
    server.enrol("Yan", [picture("wire too", embedding_of(8))])  # after the move, through the old connection
    reader.execute("ROLLBACK")
    assert reader.execute(count).fetchone() == (56,)
    server.close()
    assert [project.who(number) for number in (2, 9, 8, 10, 59)] == ["Old", "Zoe", "Yan", "New 10", "New 59"]


def test_the_same_picture_enrolled_meanwhile_is_kept_once(project: Project) -> None:
    project.put("Ann/1.png", portrait(1))
    project.build()
    data = portrait(2)
    project.put("Ann/2.png", data)
    server = Gallery.open(project.db)
    wired = replace(picture("wire", embedding_of(2)), sha256=hashlib.sha256(data).hexdigest())

    assert project.build(before_embedding=lambda embedded: server.enrol("Ann", [wired])) == 0
    server.close()
    assert project.counts() == Counts(1, 2, 2)


def test_two_folders_of_nearly_one_name_are_remarked_on(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.put("Mats/1.png", portrait(1))
    project.put("mats/1.png", portrait(2))
    project.put("Zoe/1.png", portrait(3))
    assert project.build() == 0
    assert project.names() == ["Mats", "mats", "Zoe"]
    assert "Mats and mats: one person? Then merge them" in capsys.readouterr().out


def test_what_a_build_writes_is_for_its_user_alone(project: Project) -> None:
    project.put("Ann/1.png", portrait(1))
    project.put("Ann/broken.png", b"no picture")
    before = os.umask(0)
    try:
        assert project.build() == 0
    finally:
        os.umask(before)
    assert project.log.exists()
    assert {path.name: path.stat().st_mode & 0o777 for path in project.db.parent.iterdir()} == {
        path.name: 0o600 for path in project.db.parent.iterdir()
    }
