"""What MkDocs does not do by itself for this site: pages from elsewhere in the repository, a page of reference per package,
and a check of every link of the built site.
"""

import ast
import os
import posixpath
import re
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
PACKAGE = "qsynapse_jax"
log = get_plugin_logger("qsynapse")

# Files of the repository that belong to the site; a page of docs/ links to them as it does in the repository.
OUTSIDE = ("experiments/**/*.md", "experiments/**/*.png", "notebooks/*.ipynb", "CHANGELOG.md", "CONTRIBUTING.md")
LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
# The commands of experiments/ that begin with `python` are fine in the repository and on the site alike.
FORM = re.compile(r"https?://[a-z0-9-]+(\.[a-z0-9-]+)+(:\d+)?(/\S*)?", re.IGNORECASE)


def packages() -> dict[str, list[str]]:
    """Every public package, or module, with the names that it exports, in the order of its source."""
    found = {}
    for path in sorted((ROOT / PACKAGE).iterdir()):
        source = path / "__init__.py" if path.is_dir() else path
        if path.name.startswith(("_", ".")) or not source.exists() or source.suffix != ".py":
            continue
        found[path.stem] = exported(source)
    found["training.rules"] = exported(ROOT / PACKAGE / "training" / "rules" / "__init__.py")
    found["devices.presets"] = exported(ROOT / PACKAGE / "devices" / "presets.py")
    return dict(sorted((name, names) for name, names in found.items() if names))


def exported(source: Path) -> list[str]:
    """Names that a file imports as themselves (`from a import b as b`), or that it defines."""
    names, modules = [], {path.stem for path in source.parent.iterdir()}
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            names += [one.name for one in node.names if one.name == one.asname and one.name not in modules]
        elif isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            names.append(node.name)
    return names


def summary(name: str) -> str:
    """The first line of a package's docstring."""
    path = ROOT / PACKAGE / name.replace(".", "/")
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return (ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def on_config(config: Any) -> Any:
    """Puts a page per package below "Reference"."""
    (section,) = (entry["Reference"] for entry in config.nav if "Reference" in entry)
    section += [{name: f"reference/{name}.md"} for name in packages()]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages of the reference, and what the site takes from outside of docs/."""
    rows = [f"| [`{name}`]({name}.md) | {summary(name)} |" for name in packages()]
    index = ["# Reference", "", "Made from the docstrings. `import qsynapse_jax as qs`, then `qs.crossbar.solve`, ...", ""]
    pages = {"reference/index.md": "\n".join([*index, "| package | what it does |", "| --- | --- |", *rows, ""])}
    for name, names in packages().items():
        members = "".join(f"        - {one}\n" for one in names)
        shown = "      show_root_heading: false\n      show_root_toc_entry: false\n"
        pages[f"reference/{name}.md"] = f"# {name}\n\n::: {PACKAGE}.{name}\n    options:\n{shown}      members:\n{members}"
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    for pattern in OUTSIDE:
        for path in sorted(ROOT.glob(pattern)):
            files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Links between files of the repository become links between pages of the site; generated tables lose their marks."""
    here = in_repository(page.file.src_uri)

    def moved(match: re.Match[str]) -> str:
        before, target, after = match.groups()
        if urlsplit(target).scheme:
            return match.group()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(here), target))
        inside = path.removeprefix("docs/") if path.startswith("docs/") else path
        return f"{before}{posixpath.relpath(inside, posixpath.dirname(page.file.src_uri) or '.')}{after}"

    pieces = FENCE.split(markdown)
    return "".join(piece if piece.startswith("```") else LINK.sub(moved, piece) for piece in pieces)


def in_repository(uri: str) -> str:
    """Where the source of a page lies in the repository."""
    return uri if (ROOT / uri).exists() else f"docs/{uri}"


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
    site = Path(config.site_dir)
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    for path, page in pages.items():
        if path.name == "404.html":  # its links begin at the root of a server
            continue
        where = PurePosixPath(path.relative_to(site).as_posix())
        for target in page.loaded:
            if urlsplit(target).scheme not in {"", "data"} or urlsplit(target).netloc:
                log.warning(f"{where} loads {target} from another place; the site must be readable without a network.")
        for target in [*page.links, *page.loaded]:
            if message := wrong(target, path, pages):
                log.warning(f"{where} links to {target}: {message}.")


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


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Puts a script of the site where the theme would load one from another place (docs/site/search.js says why)."""
    script = posixpath.relpath("site/search.js", posixpath.dirname(page.file.dest_uri) or ".")
    return output.replace("https://unpkg.com/iframe-worker/shim", script)
