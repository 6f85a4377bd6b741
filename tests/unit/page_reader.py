"""A strict reader of pages that must stand alone."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "wbr", "hr", "input"}
DRAWN = {"path", "rect", "use", "text"}


class Page(HTMLParser):
    """A strict reader: every element is closed in order, every id is given once."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[tuple[str, str]] = []
        self.drawn: list[set[str]] = []
        self.words: list[str] = []
        self.images: list[dict[str, str]] = []
        self.titles: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        assert len(given) == len(attrs), f"{tag} has an attribute twice"
        self.ids += [given["id"]] if "id" in given else []
        self.links += [(k, v) for k, v in attrs if k in ("href", "src", "xlink:href", "action", "data", "srcset")]
        self.links += [("url", url) for v in given.values() if v for url in re.findall(r"url\(([^)]*)\)", v)]
        assert not [k for k in given if k.startswith("on")], f"{tag} runs a script"
        if tag == "svg":
            self.drawn.append(set())
        elif "svg" in self.open and tag in DRAWN and "defs" not in self.open:
            self.drawn[-1].add(tag)
        if tag == "img":
            self.images.append(given)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)
        if self.open and self.open[-1] == "h2":
            self.titles.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)


def check(text: str) -> Page:
    """What holds for every page that stands alone."""
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    for kind, target in page.links:
        inside = target.startswith("#") and target[1:] in page.ids
        assert inside or target.startswith("data:"), f"{kind} leads to {target}"
    assert all(len(drawn) > 0 for drawn in page.drawn)
    for label in re.findall(r'aria-labelledby="([^"]+)"', text):
        assert set(label.split()) <= set(page.ids)
    assert all(image["src"].startswith("data:image/jpeg;base64,/9j/") and image["alt"] for image in page.images)
    assert "default-src 'none'" in text
    assert "<script" not in text
    assert "#010a0" not in text  # a stand-in colour that became no variable
    return page
