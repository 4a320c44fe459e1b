"""How evenly a page scrolls: the time between its frames, and what its main thread does meanwhile."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from playwright.sync_api import Page

NOTCH = 120  # pixels of one step of a wheel
STEP_S = 0.016  # between two moves of a mouse

_BEGIN = """() => {
    const said = window.measured = {frames: [], tasks: []};
    said.observer = new PerformanceObserver(
        (list) => list.getEntries().forEach((one) => said.tasks.push(one.duration)));
    said.observer.observe({type: 'longtask'});
    let last = performance.now();
    const frame = (now) => {
        if (window.measured !== said) return;
        said.frames.push(now - last);
        last = now;
        requestAnimationFrame(frame);
    };
    requestAnimationFrame((now) => { last = now; requestAnimationFrame(frame); });
}"""
_END = """() => {
    const {frames, tasks, observer} = window.measured;
    observer.disconnect();
    window.measured = null;
    return {frames, tasks};
}"""
_END_OF_PAGE = "() => document.documentElement.scrollHeight - innerHeight"
_PLACE = "() => scrollY"
HEADINGS = (
    "| how | screens/s | frames | median ms | p95 | longest | over 33 ms | over 50 ms | tasks over 50 ms | longest ms "
    "| tasks over 50 ms of CPU | longest CPU ms | CPU ms a frame: script, style, layout, all | load |\n|---|"
    + "---|"
    * 13
)


@dataclass(frozen=True, slots=True)
class Frames:
    """Milliseconds between frames, of tasks over 50 ms, and of processor time (`cpu`) of every task of the main thread;
    `busy`: its processor time in seconds, by kind; `load`: of the whole machine."""

    how: str
    screens: float
    seconds: float
    intervals: tuple[float, ...]
    long_tasks: tuple[float, ...]
    cpu: tuple[float, ...]
    busy: dict[str, float]
    load: float

    def __str__(self) -> str:
        between = np.array(self.intervals)
        busy = ", ".join(f"{1000 * seconds / len(between):.1f}" for seconds in self.busy.values())
        return (
            f"| {self.how} | {self.screens / self.seconds:.1f} | {len(between)} | {np.median(between):.1f} "
            f"| {np.percentile(between, 95):.1f} | {between.max():.0f} | {(between > 33.4).mean():.1%} "
            f"| {(between > 50).mean():.1%} | {len(self.long_tasks)} | {max(self.long_tasks, default=0):.0f} "
            f"| {sum(task > 50 for task in self.cpu)} | {max(self.cpu, default=0):.0f} | {busy} | {self.load:.1f} |"
        )


def by_wheel(page: Page, *, screens_a_second: float) -> None:
    """From the top to the end, at that pace where the browser keeps up."""
    height = page.evaluate("() => innerHeight")
    page.mouse.move(100, height / 2)
    end = page.evaluate(_END_OF_PAGE)
    pause = NOTCH / (height * screens_a_second)
    due = time.monotonic()
    for number in range(int(2 * end / NOTCH)):
        page.mouse.wheel(0, NOTCH)
        due += pause
        time.sleep(max(0.0, due - time.monotonic()))
        if number % 20 == 0 and page.evaluate(_PLACE) >= end - 2:
            return


def by_scroll_bar(page: Page, *, seconds: float) -> None:
    """The scroll bar's thumb drawn from the top to the bottom with the mouse."""
    width, height = page.evaluate("() => [innerWidth, innerHeight]")
    across = width - 6
    page.mouse.move(across, 24)
    page.mouse.down()
    steps = int(seconds / STEP_S)
    due = time.monotonic()
    for step in range(steps):
        page.mouse.move(across, 24 + (height - 24) * (step + 1) / steps)
        due += STEP_S
        time.sleep(max(0.0, due - time.monotonic()))
    page.mouse.up()
    assert page.evaluate(_PLACE) >= page.evaluate(_END_OF_PAGE) - 2, "the scroll bar did not follow the mouse"


def measured(page: Page, how: str, scroll: Callable[[], None]) -> Frames:
    """`scroll` from the top, with the frames counted meanwhile."""
    page.evaluate("() => scrollTo(0, 0)")
    page.locator(".photo-tile img").first.wait_for()
    page.wait_for_load_state("networkidle")
    session = page.context.new_cdp_session(page)
    # time that the thread has had, not what the machine's other programs made it wait for
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = _busy(session.send("Performance.getMetrics"))
    browser = page.context.browser
    assert browser is not None
    browser.start_tracing(page=page, categories=["toplevel"])
    page.evaluate(_BEGIN)
    begun = time.monotonic()
    scroll()
    seconds = time.monotonic() - begun
    said = page.evaluate(_END)
    after = _busy(session.send("Performance.getMetrics"))
    session.detach()
    cpu = _task_times(json.loads(browser.stop_tracing()))
    screens = page.evaluate("() => document.documentElement.scrollHeight / innerHeight")
    busy = {kind: after[kind] - before[kind] for kind in after}
    return Frames(how, screens, seconds, tuple(said["frames"]), tuple(said["tasks"]), cpu, busy, os.getloadavg()[0])


def _task_times(trace: dict[str, Any]) -> tuple[float, ...]:
    """Milliseconds of processor time of each task of the main threads that show pages."""
    events = trace["traceEvents"]
    mains = {
        (one["pid"], one["tid"])
        for one in events
        if one["name"] == "thread_name" and one["args"]["name"] == "CrRendererMain"
    }
    return tuple(
        one["tdur"] / 1000
        for one in events
        if one["name"] == "ThreadControllerImpl::RunTask" and "tdur" in one and (one["pid"], one["tid"]) in mains
    )


def _busy(metrics: dict[str, list[dict[str, float]]]) -> dict[str, float]:
    found = {str(one["name"]): float(one["value"]) for one in metrics["metrics"]}
    return {kind: found[f"{kind}Duration"] for kind in ("Script", "RecalcStyle", "Layout", "Task")}
