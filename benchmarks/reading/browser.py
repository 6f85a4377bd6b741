"""Open pages in Chromium: no console message, no empty picture, no sideways scrolling; leave screenshots to look at.

    python benchmarks/reading/browser.py reports/my-comp.html [--out build/pages]

Pages are files or addresses. Needs Chromium (Debian: apt-get install chromium). Exit status 1 names every fault. The
same checks are tests: make test-browser.
"""

from __future__ import annotations

import argparse
import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome")
HOW = "On Debian: apt-get install chromium"
SECONDS = 60.0
VIEWS = {"light": (1200, False), "dark": (1200, True), "phone": (390, False), "phone, dark": (390, True)}

# Runs beside the page's own policy, which forbids scripts to the page and not to the browser's owner.
LOOK = """(async () => {
const faults = []
for (const image of document.images) {
  image.loading = "eager"
  await image.decode().catch(() => {})
  if (!image.complete || !image.naturalWidth) faults.push(`image without pixels: ${image.alt}`)
}
for (const svg of document.querySelectorAll("svg")) {
  const box = svg.getBBox(), name = svg.getAttribute("aria-labelledby") || svg.getAttribute("class")
  if (!(box.width > 0 && box.height > 0)) faults.push(`empty picture: ${name}`)
  const drawn = [...svg.querySelectorAll("path, rect, use, text")].filter(e => {
    const b = e.getBoundingClientRect(); return b.width > 0 || b.height > 0 })
  if (drawn.length < 2) faults.push(`nothing drawn: ${name}`)
}
const page = document.documentElement
if (page.scrollWidth > page.clientWidth) faults.push(`scrolls sideways: ${page.scrollWidth} > ${page.clientWidth}`)
if (!document.body.innerText.trim()) faults.push("no words")
const [paper, ink] = ["backgroundColor", "color"].map(name => {
  const [r, g, b] = getComputedStyle(document.body)[name].match(/[0-9.]+/g).map(Number)
  return (2 * r + 5 * g + b) / (8 * 255) })
const dark = matchMedia("(prefers-color-scheme: dark)").matches
if ((paper < 0.5) != dark || (ink > 0.5) != dark) faults.push("the colours are those of the other scheme")
return {faults, height: page.scrollHeight,
  svgs: document.querySelectorAll("svg").length, images: document.images.length}
})()"""


def find() -> str | None:
    """Chromium's command, if it is installed."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Chromium:
    """One headless Chromium with an empty profile and a single tab, for as long as the block runs.

    It is told what to do over a pipe, in the DevTools protocol (chromedevtools.github.io/devtools-protocol).
    """

    def __init__(self, command: str) -> None:
        self._command, self._number, self._rest = command, 0, b""
        self._events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            home = stack.enter_context(tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True))
            # High numbers, so that none is in the way of 3 and 4, where Chromium looks for its ends of the pipes.
            theirs_in, self._in, self._out, theirs_out = (
                fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for pair in (os.pipe(), os.pipe()) for end in _closing(pair)
            )
            for end in (self._in, self._out):
                stack.callback(os.close, end)
            wire = "import os, sys; a, b, *c = sys.argv[1:]; os.dup2(int(a), 3); os.dup2(int(b), 4); os.execv(c[0], c)"
            options = [
                *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"),
                *("--no-first-run", "--disable-background-networking", "--remote-debugging-pipe"),
                *("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--user-data-dir={home}"),
            ]
            process = subprocess.Popen(
                [sys.executable, "-c", wire, str(theirs_in), str(theirs_out), self._command, *options],
                pass_fds=(theirs_in, theirs_out),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            stack.callback(_end, process)
            os.close(theirs_in)
            os.close(theirs_out)
            target = self._ask("Target.createTarget", url="about:blank")["targetId"]
            self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log"):
                self._ask(f"{domain}.enable")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stack.close()

    def open(self, url: str, *, width: int = 1200, dark: bool = False) -> None:
        """Load a page."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._ask("Emulation.setEmulatedMedia", features=scheme)
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self._ask("Emulation.setDeviceMetricsOverride", **size)
        self._events.clear()
        done = self._ask("Page.navigate", url=url)
        if "errorText" in done:
            raise RuntimeError(f"{url}: {done['errorText']}")
        self.wait()

    def wait(self) -> None:
        """Until a page has been loaded."""
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            self._receive()

    def said(self) -> list[str]:
        """Messages of the console since the page was opened."""
        texts = {
            "Runtime.consoleAPICalled": lambda p: " ".join(str(a.get("value")) for a in p["args"]),
            "Runtime.exceptionThrown": lambda p: p["exceptionDetails"]["text"],
            "Log.entryAdded": lambda p: f"{p['entry']['text']} {p['entry'].get('url', '')}".strip(),
        }
        return [f"console: {texts[e['method']](e['params'])}" for e in self._events if e["method"] in texts]

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        done = self._ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in done:
            raise RuntimeError(done["exceptionDetails"])
        return done["result"].get("value")

    def submit(self, form: str) -> None:
        """Send a form as a person would, and wait for the page that comes."""
        self._events.clear()
        self.evaluate(f"document.querySelector({json.dumps(form)}).requestSubmit()")
        self.wait()

    def screenshot(self, path: Path) -> None:
        """The whole page, as PNG."""
        path.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot", captureBeyondViewport=True)["data"]))

    def print(self, path: Path) -> None:
        """The page on paper, as PDF."""
        path.write_bytes(base64.b64decode(self._ask("Page.printToPDF", printBackground=True)["data"]))

    def _ask(self, method: str, **params: object) -> dict[str, Any]:
        self._number += 1
        number, session = self._number, getattr(self, "_session", None)
        message = {"id": number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self._in, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _receive(self) -> dict[str, Any]:
        """The next message; events are kept."""
        until = time.monotonic() + SECONDS
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._out], [], [], max(0.0, until - time.monotonic()))
            block = os.read(self._out, 1 << 16) if ready else b""
            if not block:
                raise RuntimeError("Chromium ended." if ready else f"Chromium said nothing for {SECONDS:.0f} s.")
            self._rest += block
        text, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        if "method" in message:
            self._events.append(message)
        return message


def _closing(pair: tuple[int, int]) -> Any:
    """Both ends in turn, each closed once it was copied."""
    for end in pair:
        yield end
        os.close(end)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def check(browser: Chromium, url: str, out: Path | None = None) -> list[str]:
    """Every fault of a page in every view; with `out`, a screenshot of each and the page on paper."""
    faults, name = [], url.rstrip("/").rpartition("/")[2].removesuffix(".html")
    for view, (width, dark) in VIEWS.items():
        browser.open(url, width=width, dark=dark)
        looked = browser.evaluate(LOOK)
        faults += [f"{view}: {fault}" for fault in (*browser.said(), *looked["faults"])]
        if out is not None:
            browser.screenshot(shot := out / f"{name}-{view.replace(', ', '-')}.png")
            print(f"{view}: {looked['svgs']} drawings, {looked['images']} images, {looked['height']} px high, {shot}")
    if out is not None:
        browser.print(paper := out / f"{name}.pdf")
        print(f"paper: {paper}")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+")
    parser.add_argument("--out", type=Path, default=Path("build/pages"))
    given = parser.parse_args()
    if (command := find()) is None:
        sys.exit(f"This check needs Chromium, which is not installed. {HOW}")
    given.out.mkdir(parents=True, exist_ok=True)
    urls = [page if "://" in page else Path(page).absolute().as_uri() for page in given.pages]
    with Chromium(command) as browser:
        faults = [f"{url}: {fault}" for url in urls for fault in check(browser, url, given.out.absolute())]
    print("\n".join(faults) or "no fault found")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
