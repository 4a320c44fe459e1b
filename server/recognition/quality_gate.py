"""Decides which faces are good enough to enrol: limits on the measures of `server.vision.quality`, and the refusals.

Every probe is compared with every template, so a bad template does harm for as long as it exists. The gate applies to
enrolment only; `identify` accepts any face.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from facewire.protocol.gallery_messages import Refusal, Shortcoming
from facewire.server.vision.quality import FaceQuality

PROFILE = 9.99
"""The largest yaw reported: beyond it one eye hides the other, and the ratio is meaningless."""


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """The worst values accepted for enrolment, in the units of `FaceQuality`. Chosen by measurement:
    docs/decisions/0029."""

    side: float = 24.0
    sharpness: float = 0.008
    yaw: float = 2.0
    range: float = 20.0
    white: float = 0.6
    outside: float = 0.33
    likeness: float = 0.8
    covered: float = 1.0


LIMITS = QualityLimits()

MIDDLE = 127.5
"""The middle level of luminance: a face without contrast is too dark below it and too bright above."""

_IN_WORDS: Mapping[str, str] = {
    "too_small": "the face is too small ({measured:.0f} px, at least {limit:.0f})",
    "blurred": "the face is blurred (sharpness {measured:.3f}, at least {limit:.3f})",
    "turned_away": "the face is turned away (by {measured:.2f}, at most {limit:.2f})",
    "too_dark": "the face is too dark (a range of {measured:.0f} levels, at least {limit:.0f})",
    "too_bright": "the face is too bright ({measured:.0%} of it white, at most {limit:.0%})",
    "not_a_face": "this doesn't look like a face (likeness {measured:.2f}, at least {limit:.2f})",
    "partly_outside": "the face is partly outside of the picture ({measured:.0%} of it, at most {limit:.0%})",
}


def shortcomings(quality: FaceQuality, limits: QualityLimits, accept: Collection[str] = ()) -> tuple[Shortcoming, ...]:
    """Every failed check except those in `accept`; empty if the face may be enrolled."""
    return () if "all" in accept else tuple(one for one in _found(quality, limits) if one.reason not in accept)


def _found(quality: FaceQuality, limits: QualityLimits) -> Iterator[Shortcoming]:
    def lacking(reason: Refusal, measured: float, limit: float) -> Shortcoming:
        return Shortcoming(reason, measured, limit)

    if quality.side < limits.side:
        yield lacking("too_small", quality.side, limits.side)
    if quality.sharpness < limits.sharpness:
        yield lacking("blurred", quality.sharpness, limits.sharpness)
    if quality.yaw > limits.yaw:
        yield lacking("turned_away", min(quality.yaw, PROFILE), limits.yaw)
    if quality.range < limits.range and quality.brightness < MIDDLE:
        yield lacking("too_dark", quality.range, limits.range)
    if quality.white > limits.white:
        yield lacking("too_bright", quality.white, limits.white)
    if quality.outside > limits.outside:
        yield lacking("partly_outside", quality.outside, limits.outside)
    if quality.likeness < limits.likeness:
        yield lacking("not_a_face", quality.likeness, limits.likeness)


def doubt(quality: FaceQuality, limits: QualityLimits, accept: Collection[str] = ()) -> Shortcoming | None:
    """A reason to warn but not to refuse: the face is covered. None if it is not, or if `accept` waives it."""
    if quality.covered <= limits.covered or "covered" in accept or "all" in accept:
        return None
    return Shortcoming("covered", quality.covered, limits.covered)


COVERED = (
    "the face seems to be covered, by a mask, a scarf or dark glasses. That helps where the person is covered again; "
    "enrol a picture that shows the whole face as well"
)


def in_words(lacking: Sequence[Shortcoming]) -> str:
    """Explains the shortcomings, with numbers and advice. How to enrol the face regardless is for each client to
    explain."""
    said = "; ".join(_IN_WORDS[one.reason].format(measured=one.measured, limit=one.limit) for one in lacking)
    return f"{said}: send a better picture"
