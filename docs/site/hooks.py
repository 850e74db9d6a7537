"""What MkDocs does not do by itself: pages from elsewhere in the repository, and a page of reference per package."""

import ast
import posixpath
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
PACKAGE = "qsynapse_jax"

# Files of the repository that belong to the site; a page of docs/ links to them as it does in the repository.
OUTSIDE = ("experiments/**/*.md", "experiments/**/*.png", "notebooks/*.ipynb", "CHANGELOG.md", "CONTRIBUTING.md")
LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)


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
    index = [
        "# Reference",
        "",
        "Made from the docstrings. `import qsynapse_jax as qs`, then `qs.crossbar.solve`, ...",
        "In a signature `Scalar` is one number, which may be traced, `Numbers` one or an array of them, and",
        '`Float[Array, "wl bl"]` an array whose axes have these names.',
        "",
    ]
    pages = {"reference/index.md": "\n".join([*index, "| package | what it does |", "| --- | --- |", *rows, ""])}
    for name, names in packages().items():
        members = "".join(f"        - {one}\n" for one in names)
        shown = "      show_root_heading: false\n      show_root_toc_entry: false\n"
        pages[f"reference/{name}.md"] = (
            f"# {name}\n\n::: {PACKAGE}.{name}\n    options:\n{shown}      members:\n{members}"
        )
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    for pattern in OUTSIDE:
        for path in sorted(ROOT.glob(pattern)):
            files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Links between files of the repository become links between pages of the site."""
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


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Puts a script of the site where the theme would load one from another place (docs/site/search.js says why)."""
    script = posixpath.relpath("site/search.js", posixpath.dirname(page.file.dest_uri) or ".")
    return output.replace("https://unpkg.com/iframe-worker/shim", script)
