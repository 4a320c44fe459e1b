# ruff: noqa: RUF001 - letters that resemble others are what this is about
"""One rule for names, and what is one name to somebody who types."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewire.server.albums.names import album_name, photo_name
from facewire.server.errors import BadRequest, InvalidName
from facewire.server.names import did_you_mean, folded, harmless, near, objection, person_name, spellings, tidy

GOOD = (
    "Ada Lovelace",
    "O’Brien-Łódź",
    "Nguyễn Thị Minh Khai",
    "می\u200cخواهم",  # Persian: a non-joiner between two letters
    "क्\u200dष",  # Devanagari: a joiner after a virama
    "ක්\u200dරි",  # Sinhala
    "അവന്\u200d",  # Malayalam: an old chillu, a joiner at the end
    "葛\U000e0100城",  # which form of the character
    "👩\u200d🚀",
    "👩🏽\u200d❤\ufe0f\u200d💋\u200d👨🏿",
    "🏳\ufe0f\u200d🌈",
    "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",  # Scotland
    "1\ufe0f\u20e3",
    "🙂\u200d↔\ufe0f",
    "محمد",
    "李雷",
    "Зоя",
)

BAD = (
    *("Ada\u200b", "A\u200dda", "Ada\u200d", "\u200cAda", "Ada\ufe0f", "A\u00adda", "\ufeffAda", "Ada\u2060"),
    *("\u202eadA", "Ada\u2066x\u2069", "Ada\u200f", "Ada\u061c", "Ada\x1b[2J", "Ada\x7f", "Ada\x9b", "Ada\x00"),
    *("\u3164", "Ada\u115f", "Ada\u034f", "Ada\u2800", "Ada\U000e0041", "Ada\U000e0100", "🚀\u200d", "\u200d🚀"),
    *("می\u200c\u200cخ", "Ada\u2064", "Ada\u180e", "1\ufe0f", "\ud800"),
)


@pytest.mark.parametrize("name", GOOD)
def test_names_of_every_script_can_be_given(name: str) -> None:
    assert person_name(name) == album_name(name) == photo_name(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize("name", BAD)
def test_what_nobody_sees_or_what_turns_text_is_refused_for_people_and_albums_alike(name: str) -> None:
    with pytest.raises(InvalidName, match=r"can't contain U\+[0-9A-F]{4,6}, .*character \d"):
        person_name(name)
    with pytest.raises(BadRequest, match=r"can't contain U\+"):
        album_name(name)
    assert objection(photo_name(name)) is None


@given(st.text())
def test_whatever_comes_is_made_harmless_and_stays_so(text: str) -> None:
    cleaned = harmless(text)
    assert objection(cleaned) is None
    assert harmless(cleaned) == cleaned
    assert len(cleaned) == len(text)
    if objection(text) is None:
        assert cleaned == text


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        *[("emilia", "Emília"), ("soren", "Søren"), ("strasse", "Straße"), ("lodz", "Łódź"), ("istanbul", "İSTANBUL")],
        *[("nguyen thi", "Nguyễn Thị"), ("zoe", "ZOË"), ("aegir", "Ægir"), ("o'brien", "O’Brien"), ("ada", "Ａｄａ")],
        *[("gunduz", "Gündüz"), ("dokic", "Đokić"), ("ανδρεας", "Ανδρέας"), ("йога", "ЙОГА"), ("muller", "Müller")],
        *[("jose", "Jose\u0301"), ("party 2024", "Party ٢٠٢٤"), ("room 12", "Room १२")],
    ],
)
def test_case_and_accents_make_no_difference(typed: str, name: str) -> None:
    assert folded(typed) == folded(name)
    assert folded(folded(name)) == folded(name)


@pytest.mark.parametrize(("typed", "name"), [("mueller", "Müller"), ("soeren", "Søren"), ("aase", "Åse")])
def test_umlauts_may_be_written_out(typed: str, name: str) -> None:
    assert folded(typed) in spellings(name)


@pytest.mark.parametrize(("one", "other"), [("か", "が"), ("कि", "क"), ("Ada", "Ida"), ("ж", "з")])
def test_other_letters_are_other_names(one: str, other: str) -> None:
    assert folded(one) != folded(other)


@given(st.text())
def test_folding_is_settled(text: str) -> None:
    assert folded(folded(text)) == folded(text)
    assert folded(unicodedata.normalize("NFD", text)) == folded(unicodedata.normalize("NFC", text))
    assert tidy(tidy(text)) == tidy(text)


def test_near_names_are_suggested_the_likeliest_first() -> None:
    names = ["Ada Lovelace", "Emília", "Mats", "Mats Berg", "Søren", "Zoe"]
    assert near("emilia", names) == ["Emília"]
    assert near("mats", names) == ["Mats", "Mats Berg"]
    assert near("Ada Lovelase", names) == ["Ada Lovelace"]
    assert near("ada", names) == ["Ada Lovelace"]
    assert did_you_mean("Xavier", names) == ""
    assert did_you_mean("emilia", names) == "; did you mean Emília?"
    assert len(near("mats", [f"Mats {n}" for n in range(10)])) == 3
