"""Checks that what comments and pages cite is in the repository. Usage: check_citations.py [ROOT]

  - docs/PAGE.md and docs/PAGE.md#section, anywhere: the page and the section exist
  - [links](PAGE.md#section) of pages: the same, relative to the page
  - room/file.h and `src/...`, `tests/...`, `tools/...`, ...: there is such a file or folder (NAME.cc: any)
  - no "SPEC" with a number, and outside docs/spec no bare "D" with a number: those name a document that is not here

Exits with 1 and one line per violation.
"""
import re
import sys
from pathlib import Path

ROOTS = ("src", "tests", "presets", "recipes", "examples", "docs", "bench", "tools", "cmake")
ENDINGS = (".h", ".cc", ".py", ".md", ".toml", ".txt", ".sh", ".cmake")
ROOMS = "base|kernels|tensor|autograd|nn|models|text|stories|probes|data|sources|io|optim|objective|infer|eval|train|checks|compare|audit|api|cli"

PAGE = re.compile(r"(?<![\w/.-])(docs/[\w./-]+\.md)(?:#([\w-]+))?")
LINK = re.compile(r"\]\(([^)\s]+)\)")
SOURCE = re.compile(rf"(?<![\w/.-])((?:{ROOMS})/[\w./-]+\.(?:h|cc))\b")
PLACE = re.compile(r"`((?:src|tests|tools|bench|cmake)/[\w./-]+)`")
PLACEHOLDER = re.compile(r"/[A-Z]{4,}(?:[._/]|$)")
ABSENT = re.compile(r"\bSPEC(?: sections?)?,? (?:\d|[A-D]\d)")
BARE_DEFECT = re.compile(r"(?<![\w#&-])D\d{1,2}\b(?!\s*[=(;\[])")
# What happened is told in the words of its day: files that have gone since may be named here.
HISTORY = ("docs/lab-book.md", "CHANGELOG.md")


def sections(page):
    """The anchors of a Markdown page's headings, as GitHub makes them."""
    found, in_code = set(), False
    for line in page.splitlines():
        if line.startswith("```"):
            in_code = not in_code
        heading = None if in_code else re.match(r"#+ (.*)", line)
        if heading:
            found.add(re.sub(r"[^\w\- ]", "", heading[1].strip().lower()).replace(" ", "-"))
    return found


def comment(name, line):
    """The part of a line that is not code."""
    if name.endswith((".h", ".cc")):
        return line.partition("//")[2]
    if name.endswith((".toml", ".txt", ".sh", ".cmake")):
        return line.partition("#")[2]
    return line


def complaints(name, text, pages, exists):
    """pages: {path: its sections} of all Markdown pages; exists(path) tells whether the repository has it."""
    folder = name.rpartition("/")[0]

    def missing(page, section):
        if page not in pages and not (exists(page) and not page.endswith(".md")):
            return f"{page} does not exist"
        if section and section not in pages.get(page, ()):
            return f"{page} has no section #{section}"
        return None

    for number, line in enumerate(text.splitlines(), 1):
        found = [missing(page, section) for page, section in PAGE.findall(line)]
        if name.endswith(".md"):
            for target in LINK.findall(line):
                if "://" in target:
                    continue
                page, _, section = target.partition("#")
                parts = []
                for part in (f"{folder}/{page}" if page else name).split("/"):
                    if part == "..":
                        parts.pop()
                    elif part not in ("", "."):
                        parts.append(part)
                found.append(missing("/".join(parts), section))
        if name not in HISTORY:
            sources = [] if name.endswith(".py") else ["src/" + path for path in SOURCE.findall(line)]
            for path in sources + PLACE.findall(line):
                if not exists(path) and not PLACEHOLDER.search(path):
                    found.append(f"{path} does not exist")
        said = comment(name, line)
        if ABSENT.search(said) or (not name.startswith("docs/spec/") and BARE_DEFECT.search(said)):
            found.append("cites what is not in the repository; say it, or cite a page of docs/spec")
        for what in found:
            if what:
                yield f"{name}:{number}: {what}"


def files(root):
    for path in sorted(root.iterdir()):
        if path.is_file() and path.suffix in ENDINGS:
            yield path
    for folder in ROOTS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in ENDINGS and path.is_file():
                yield path


def main():
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    # This file and its test speak of what they look for.
    texts = {
        name: path.read_text(encoding="utf-8")
        for path in files(root)
        if "check_citations" not in (name := path.relative_to(root).as_posix())
    }
    pages = {name: sections(text) for name, text in texts.items() if name.endswith(".md")}
    found = [c for name, text in texts.items() for c in complaints(name, text, pages, lambda p: (root / p).exists())]
    print("\n".join(found) if found else f"{len(texts)} files cite what is there")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
