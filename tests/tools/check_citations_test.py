"""tools/check_citations.py finds each kind of violation and lets through what is allowed. Usage: THIS CHECK_PY"""
import importlib.util
import sys

PAGES = {"README.md": {"results"}, "docs/a.md": {"one-two", "v52-nova"}, "docs/spec/b.md": {"d4"}}
THERE = {*PAGES, "src/io/paths.h", "src/io", "docs/figure.png", "LICENSE"}
HEADINGS = "# One two\n\n## v5.2: Nova\n```\n# no heading\n```\n### D4\n"

# File, a line of it, and how the only expected complaint goes on after the line number (None: no complaint).
CASES = [
    ("src/a.h", "// Gates (docs/a.md#one-two), docs/spec/b.md#d4.", None),
    ("src/a.h", "// Gates (docs/c.md).", "docs/c.md does not exist"),
    ("src/a.h", "// Gates (docs/a.md#three).", "docs/a.md has no section #three"),
    ("presets/a.toml", "# v4 (docs/spec/bolt.md)", "docs/spec/bolt.md does not exist"),
    ("docs/a.md", "[one](spec/b.md#d4), [two](../README.md#results), [self](#one-two), [web](https://x.org/y)", None),
    ("docs/a.md", "![figure](figure.png) [licence](../LICENSE)", None),
    ("docs/a.md", "[one](b.md)", "docs/b.md does not exist"),
    ("docs/spec/b.md", "[one](../a.md#d4)", "docs/a.md has no section #d4"),
    ("README.md", "[one](#two)", "README.md has no section #two"),
    ("src/a.h", '#include "io/paths.h"', None),
    ("src/a.h", "// What a path is: io/paths.h.", None),
    ("src/a.h", "// What a path is: io/gone.h.", "src/io/gone.h does not exist"),
    ("docs/a.md", "a file `src/io/NAME.cc` beside `src/io`", None),
    ("docs/a.md", "see `tests/io/gone_test.cc`", "tests/io/gone_test.cc does not exist"),
    ("docs/lab-book.md", "`src/io/gone.cc` lost 3 %", None),
    ("src/a.h", "// Rotary positions (SPEC 1.4).", "cites what is not in the repository"),
    ("presets/a.toml", "# v4 (SPEC section 2)", "cites what is not in the repository"),
    ("src/a.h", "// causal (the published memory was not, D4)", "cites what is not in the repository"),
    ("docs/spec/b.md", "v8 adds D5 to D4", None),
    ("src/a.h", "auto D4 = D2(x);  // in rows", None),
    ("tests/a.py", "SPECIALS = 4", None),
]


def main():
    spec = importlib.util.spec_from_file_location("check_citations", sys.argv[1])
    check = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check)
    failures = 0
    if check.sections(HEADINGS) != {"one-two", "v52-nova", "d4"}:
        failures += 1
        print(f"sections: {check.sections(HEADINGS)}")
    for name, line, expected in CASES:
        found = list(check.complaints(name, line + "\n", PAGES, THERE.__contains__))
        if len(found) != (expected is not None) or (found and not found[0].startswith(f"{name}:1: {expected}")):
            failures += 1
            print(f"{name}: {line!r}\n  expected {expected}\n  found    {found}")
    sys.exit(1 if failures else 0)


main()
