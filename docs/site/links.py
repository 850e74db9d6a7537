"""Every link of the built site is looked at: files, anchors, the form of addresses elsewhere, and what a page loads."""

import logging
import os
import re
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

log = logging.getLogger("mkdocs.hooks.links")  # what it warns of ends a strict build
FORM = re.compile(r"https?://[a-z0-9-]+(\.[a-z0-9-]+)+(:\d+)?(/\S*)?", re.IGNORECASE)


class Page(HTMLParser):
    """Links, loaded files and anchors of a built page."""

    def __init__(self, text: str):
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes where a tag leads, and by which name it is found."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "link" and values.get("rel") in {"stylesheet", "icon"}:
            self.loaded.append(values["href"])
        elif "src" in values:
            self.loaded.append(values["src"])


def on_post_build(config: Any) -> None:
    """Refuses a site with a dead link, a missing anchor, or a file from another place."""
    for fault in faults(Path(config.site_dir)):
        log.warning(fault)


def faults(site: Path) -> list[str]:
    """What is wrong with the links of all pages below a folder, a sentence each."""
    found: list[str] = []
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    for path, page in pages.items():
        if path.name == "404.html":  # its links begin at the root of a server
            continue
        where = PurePosixPath(path.relative_to(site).as_posix())
        for target in page.loaded:
            if urlsplit(target).scheme not in {"", "data"} or urlsplit(target).netloc:
                found.append(f"{where} loads {target} from another place; the site must be readable without a network.")
                continue
            if message := wrong(target, path, pages):
                found.append(f"{where} loads {target}: {message}.")
        for target in page.links:
            if message := wrong(target, path, pages):
                found.append(f"{where} links to {target}: {message}.")
    return found


def wrong(target: str, path: Path, pages: dict[Path, Page]) -> str | None:
    """What is wrong with a link of a page, None where it is right; of other sites the form alone is looked at."""
    parts = urlsplit(target)
    if parts.scheme in {"http", "https"}:
        return None if FORM.fullmatch(target) else "this is not the form of an address"
    if parts.scheme in {"mailto", "javascript", "data"}:
        return None
    file = path if not parts.path else Path(os.path.normpath(path.parent / unquote(parts.path)))
    file = file / "index.html" if file.is_dir() else file
    if not file.exists():
        return "there is no such file"
    if file in pages and unquote(parts.fragment) not in pages[file].anchors:
        return "the page has no such anchor"
    return None
