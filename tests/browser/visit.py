"""One browser profile looking at the page, and what it had to complain about."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.support.waiting import PATIENCE_S
from tests.support.web_server import Page as Web

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, Response

PATIENCE_MS = 1000 * PATIENCE_S  # for all that a page is waited for

# A browser writes a line for every refused request; the page shows these to people, and the tests look for that.
_REFUSED = re.compile(r"status of (\d+)")
_LOST = ("net::ERR_", "when fetching the script")  # what it writes of requests to a gateway that is gone


class Visit:
    """`refusals`: statuses that a test brings about on purpose."""

    def __init__(self, context: BrowserContext, web: Web) -> None:
        self.context = context
        self.web = web
        self.complaints: list[str] = []
        self.refusals: set[int] = set()
        self.page: Page = context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("request", lambda request: self._asked(request.url))
        self.is_firefox = context.browser is not None and context.browser.browser_type.name == "firefox"
        if self.is_firefox:
            self.page.on("response", self._answered)  # its console says nothing of them to whoever drives it

    def go(self, path: str) -> None:
        self.page.goto(self.web.url + path)

    def leave(self) -> None:
        """Away from the page: an address that differs only behind its # would not be loaded anew."""
        self.page.goto("about:blank")

    def named(self, role: Any, name: str, *, exact: bool = False) -> Locator:
        """What a screen reader calls so."""
        return self.page.get_by_role(role, name=name, exact=exact)

    def drag(self, what: Locator, onto: Locator) -> None:
        """Drags with the mouse; in Firefox, whose mouse as driven from outside drags nothing, by the events alone."""
        if not self.is_firefox:
            what.drag_to(onto)
            return
        carried = self.page.evaluate_handle("() => new DataTransfer()")
        for target, event in ((what, "dragstart"), (onto, "dragover"), (onto, "drop"), (what, "dragend")):
            target.dispatch_event(event, {"dataTransfer": carried})

    def says(self, text: str) -> None:
        """Waits until the page shows this, and its scripts have run: a button that nobody listens to does nothing."""
        self.page.get_by_text(text).first.wait_for()
        self.page.wait_for_load_state()

    def can_be_closed(self) -> None:
        """Waits until the worker is there that sends files without the page: later, its script can't be fetched from
        a gateway that a test has stopped."""
        self.page.wait_for_function(
            "async () => (await navigator.serviceWorker.getRegistrations()).some(({active}) => active)"
        )

    def shows(self, selector: str, texts: list[str]) -> None:
        """Waits until exactly these texts are there, in this order."""
        from playwright.sync_api import expect

        expect(self.page.locator(selector)).to_have_text(texts, timeout=PATIENCE_MS)

    def has(self, there: str | Locator, count: int) -> None:
        """Waits until exactly that many of these are there."""
        from playwright.sync_api import expect

        found = self.page.locator(there) if isinstance(there, str) else there
        expect(found).to_have_count(count, timeout=PATIENCE_MS)

    def barriers(self, axe: str) -> list[str]:
        """What axe-core finds serious or critical, and any sideways scrolling."""
        self.page.evaluate(axe)
        found = self.page.evaluate("async () => (await axe.run(document, {resultTypes: ['violations']})).violations")
        serious = [
            f"{one['id']}: {one['help']}: {one['nodes'][0]['html']}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        wider = self.page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
        return serious + ([f"the page is {wider} px wider than the screen"] if wider > 0 else [])

    def _console(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        if self.web.gone.is_set() and any(one in message.text for one in _LOST):
            return
        refused = _REFUSED.search(message.text)
        if refused is None or not self._expected(int(refused[1])):
            self.complaints.append(f"{message.type}: {message.text} {message.location.get('url', '')}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and not self._expected(response.status):
            self.complaints.append(f"error: status of {response.status} {response.url}")

    def _expected(self, status: int) -> bool:
        # A page that a gateway before gave out has a token that the next one does not take.
        return status in self.refusals or (status == 403 and self.web.gone.is_set())

    def _asked(self, url: str) -> None:
        if not url.startswith((self.web.url, "blob:", "data:", "about:")):
            self.complaints.append(f"asked another host: {url}")
