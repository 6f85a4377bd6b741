"""Open a report in Chromium: no console message, no empty picture, no sideways scrolling; leave screenshots to look at.

    python benchmarks/reading/browser.py reports/my-comp.html [--out build/pages]

Needs Chromium (Debian: apt-get install chromium), driven through its own command line. Exit status 1 names every fault.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from html import unescape
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")
VIEWS = {
    "light": (1200, []),
    "dark": (1200, ["--blink-settings=preferredColorScheme=0"]),
    "phone": (500, []),  # Chromium makes no narrower window
}

# Runs in a copy of the page, which forbids scripts itself.
LOOK = """
<pre id="looked"></pre>
<script>
addEventListener("load", () => {
const faults = [], sizes = {}
for (const svg of document.querySelectorAll("svg")) {
  const box = svg.getBBox(), name = svg.getAttribute("aria-labelledby") || svg.getAttribute("class")
  if (!(box.width > 0 && box.height > 0)) faults.push(`empty picture: ${name}`)
  const drawn = [...svg.querySelectorAll("path, rect, use, text")].filter(e => {
    const b = e.getBoundingClientRect(); return b.width > 0 || b.height > 0 })
  if (drawn.length < 2) faults.push(`nothing drawn: ${name}`)
}
for (const image of document.images)
  if (!image.complete || !image.naturalWidth) faults.push(`image without pixels: ${image.alt}`)
const page = document.documentElement
if (page.scrollWidth > page.clientWidth) faults.push(`scrolls sideways: ${page.scrollWidth} > ${page.clientWidth}`)
sizes.height = page.scrollHeight
sizes.svgs = document.querySelectorAll("svg").length
sizes.images = document.images.length
sizes.dark = matchMedia("(prefers-color-scheme: dark)").matches
document.getElementById("looked").textContent = JSON.stringify({faults, sizes})
})
</script>
"""


def chromium() -> str:
    """Chromium's command; the check has no other way."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    sys.exit("This check needs Chromium, which is not installed. On Debian: apt-get install chromium")


def browse(page: Path, home: Path, width: int, height: int, *words: str) -> subprocess.CompletedProcess[str]:
    """Chromium on a page, with an empty profile."""
    options = [
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"),
        *(f"--user-data-dir={home}", f"--window-size={width},{height}"),
    ]
    command = [chromium(), *options, *words, page.absolute().as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=180)


def inspected(page: Path, home: Path, width: int, words: list[str]) -> tuple[list[str], dict[str, object]]:
    """Faults that the page's own measures show, and its sizes."""
    text = page.read_text(encoding="utf-8")
    open_to_scripts, n = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    if n != 1:
        return ["no content security policy"], {}
    copy = home / "copy.html"
    copy.write_text(open_to_scripts.replace("</body>", LOOK + "</body>"), encoding="utf-8")
    done = browse(copy, home / "profile", width, 900, "--dump-dom", *words)
    found = re.search(r'<pre id="looked">(.*?)</pre>', done.stdout, re.DOTALL)
    looked = (
        json.loads(unescape(found[1])) if found and found[1] else {"faults": ["the page was not read"], "sizes": {}}
    )
    return looked["faults"], looked["sizes"]


def console(stderr: str) -> list[str]:
    """Messages of the page's console."""
    return [f"console: {line}" for line in stderr.splitlines() if ":CONSOLE" in line]


def check(page: Path, out: Path) -> list[str]:
    """Every fault of a page in every view."""
    faults = []
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        for view, (width, words) in VIEWS.items():
            own, sizes = inspected(page, home, width, words)
            faults += [f"{view}: {fault}" for fault in own]
            if sizes and sizes["dark"] != (view == "dark"):
                faults.append(f"{view}: the colours are those of the other scheme")
            shot = out / f"{page.stem}-{view}.png"
            height = int(str(sizes.get("height", 4000))) + 20
            done = browse(page, home / "profile", width, height, f"--screenshot={shot}", *words)
            faults += [f"{view}: {line}" for line in console(done.stderr)]
            print(f"{view}: {sizes} {shot}")
        paper = out / f"{page.stem}.pdf"
        browse(page, home / "profile", 1200, 900, f"--print-to-pdf={paper}", "--no-pdf-header-footer")
        print(f"paper: {paper}")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("build/pages"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    faults = [f"{page}: {fault}" for page in given.pages for fault in check(page, given.out.absolute())]
    print("\n".join(faults) or "no fault found")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
