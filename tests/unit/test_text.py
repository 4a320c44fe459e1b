"""Strangers' text, shown: nothing in it reaches a terminal as anything but letters."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewire.protocol.text import counted, counted_people, did_you_mean, printable, printable_lines


@pytest.mark.parametrize(
    ("evil", "shown"),
    [
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\nb\tc\r", "a\\x0ab\\x09c\\x0d"),
        ("\x9b2J", "\\x9b2J"),
        ("exe\u202egpj.", "exe\\u202egpj."),
        ("\u2066a\u2069", "\\u2066a\\u2069"),
        ("a\u2028b\u2029", "a\\u2028b\\u2029"),
        ("A\u200bda", "A\\u200bda"),
        ("pay\u200dpal", "pay\\u200dpal"),
        ("caf\udce9", "caf\\xe9"),
        ("\ud800", "\\ud800"),
        ("a\U000e0041", "a\\U000e0041"),
    ],
)
def test_what_controls_a_terminal_or_hides_is_spelt_out(evil: str, shown: str) -> None:
    assert printable(evil) == shown


@pytest.mark.parametrize(
    "name",
    [
        *("Ada Lovelace", "Björk Guðmundsdóttir", "李雷", "می\u200cخواهم", "അവന്\u200d", "क्\u200dष"),
        *(
            "👩\u200d🚀",
            "❤\ufe0f\u200d🔥",
            "👨🏽\u200d👩🏽\u200d👧",
            "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        ),
        *("7\u202f30 PM", "日\u3000本", "C:\\x"),
    ],
)
def test_names_of_all_scripts_and_emoji_stay_as_they_are(name: str) -> None:
    assert printable(name) == name


@given(st.text(alphabet=st.characters()))
def test_nothing_harmful_is_left_and_a_second_pass_changes_nothing(text: str) -> None:
    shown = printable(text)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
    assert not set(shown) & set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
    assert printable(shown) == shown
    shown.encode()


def test_lines_of_our_own_stay_lines() -> None:
    assert printable_lines("one\ntwo\x1b") == "one\ntwo\\x1b"


def test_one_is_not_many() -> None:
    assert [counted(n, "face") for n in (0, 1, 2)] == ["0 faces", "1 face", "2 faces"]
    assert [counted_people(n) for n in (0, 1, 2)] == ["0 people", "1 person", "2 people"]


def test_what_may_be_meant() -> None:
    known = ["Ada Lovelace", "Emília Nagy", "Grace Hopper"]
    assert did_you_mean("Ada Lovelce", known) == "; did you mean 'Ada Lovelace'?"
    assert did_you_mean("ada_lovelace", known) == "; did you mean 'Ada Lovelace'?"
    assert did_you_mean("emilia nagy", known) == "; did you mean 'Emília Nagy'?"
    assert did_you_mean("hopper", known) == "; did you mean 'Grace Hopper'?"
    assert did_you_mean("Zbigniew", known) == did_you_mean("", known) == did_you_mean("Ada", []) == ""
