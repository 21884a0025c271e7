#!/usr/bin/env python3
"""Checks that the rooms of src/ include only what they may (docs/architecture.md) and that no file grows without end.

Usage: check_layers.py [ROOT]. Prints one line per violation, FILE:LINE: MESSAGE, and exits with 1 if there is any.
"""
import re
import sys
from pathlib import Path

MAX_LINES = 700

# What each room may include besides itself: rooms, or single headers.
ALLOWED = {"base": set()}
ALLOWED["kernels"] = {"base"}
ALLOWED["tensor"] = {"base", "kernels"}
ALLOWED["autograd"] = {"base", "kernels", "tensor"}
ALLOWED["nn"] = {"base", "tensor", "autograd"}
ALLOWED["ngram"] = {"base"}
ALLOWED["models"] = {"base", "nn", "ngram", "autograd/ops.h"}
ALLOWED["objective"] = {"base", "models", "autograd/ops.h"}
ALLOWED["text"] = {"base"}
ALLOWED["stories"] = {"base"}
ALLOWED["probes"] = {"base"}
ALLOWED["data"] = {"base", "text"}
ALLOWED["sources"] = {"base", "data", "stories", "probes"}
ALLOWED["io"] = {"base", "tensor", "text"}
ALLOWED["optim"] = {"base", "kernels", "tensor"}
ALLOWED["cluster"] = {"base", "kernels", "tensor"}
ALLOWED["infer"] = {"base", "kernels", "tensor", "autograd", "nn", "ngram", "models", "text", "io"}
ALLOWED["eval"] = ALLOWED["infer"] | {"infer", "data", "probes"}
ALLOWED["train"] = ALLOWED["eval"] | {"eval", "objective", "optim", "cluster"}
ALLOWED["checks"] = ALLOWED["train"] | {"train"}
ALLOWED["exchange"] = ALLOWED["train"] | {"train"}
ALLOWED["report"] = {"base"}
ALLOWED["compare"] = ALLOWED["train"] | {"train", "report"}
ALLOWED["api"] = ALLOWED["train"] | {"train"}
ALLOWED["audit"] = ALLOWED["compare"]
ALLOWED["serve"] = ALLOWED["eval"] | {"eval", "report"}
ALLOWED["cli"] = ALLOWED["api"] | {"api", "cluster", "checks", "compare", "audit", "exchange", "report", "serve"}

# A file of examples/ could stand in src as it is: in the room of what it registers, told by the header it includes for that.
REGISTRIES = {
    "models/registry.h": "models",
    "objective/term.h": "objective",
    "optim/rule.h": "optim",
    "optim/schedule.h": "optim",
    "data/sources.h": "sources",
}

# Headers of a library, by how they begin, and the folders of src/ that may include them.
THIRD_PARTY = {
    "dnnl": ["kernels/gemm"],
    "oneapi/dnnl": ["kernels/gemm"],
    "hwy/": ["kernels"],
    "pcre2": [],
    "CLI/": ["cli"],
    "curl/": ["sources"],
    "link-grammar/": ["eval"],
    "microhttpd": ["serve"],
    "nlohmann/": ["base", "io"],
    "toml++/": ["base", "io"],
    "openssl/": ["base"],
    "mpi": ["cluster/mpi"],
}

INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')


def problem_with(folder, quote, header):
    """What is wrong with this include in src/FOLDER, or None."""
    room, target = folder.split("/")[0], header.split("/")[0]
    for start, homes in THIRD_PARTY.items():
        if header.startswith(start):
            inside = any(folder == home or folder.startswith(home + "/") for home in homes)
            return None if inside else f"<{header}> is for {' and '.join(homes) or 'tests'} only"
    if quote == "<":
        return None
    if target not in ALLOWED:
        return f'"{header}" names no room; write paths from src/'
    if target == room or target in ALLOWED[room] or header in ALLOWED[room]:
        return None
    return f'{room} must not include "{header}"; it may include {", ".join(sorted(ALLOWED[room])) or "nothing"}'


def problem_of_public(quote, header):
    """What is wrong with this include in include/, which others read without our dependencies, or None."""
    if quote == "<" and (header.startswith("flashlm/") or re.fullmatch(r"[a-z0-9_]+(\.h)?", header)):
        return None
    return f"public headers include <flashlm/...> and the standard library only, not {header}"


def check(root):
    tops = ("include", "src", "examples", "tests", "bench")
    files = [p for top in tops for p in (root / top).rglob("*") if p.suffix in {".h", ".hpp", ".cc"}]
    problems = [] if files else [f"{root}:0: no sources here"]
    for path in sorted(files):
        name = path.relative_to(root)
        lines = path.read_text(encoding="utf-8").splitlines()
        if len(lines) > MAX_LINES:
            problems.append(f"{name}:{len(lines)}: more than {MAX_LINES} lines; split it")
        if name.parts[0] == "include":
            for number, match in enumerate(map(INCLUDE.match, lines), 1):
                message = match and problem_of_public(*match.groups())
                if message:
                    problems.append(f"{name}:{number}: {message}")
        if name.parts[0] not in {"src", "examples"}:
            continue
        included = [match[2] for match in map(INCLUDE.match, lines) if match]
        if name.parts[0] == "src":
            folder = "/".join(name.parts[1:-1])
        elif len(name.parts) > 2:
            continue  # a program of somebody else, who may use what he finds
        else:
            folder = next((REGISTRIES[header] for header in included if header in REGISTRIES), None)
            if folder is None:
                problems.append(f"{name}:1: registers nothing; include one of {', '.join(REGISTRIES)}")
                continue
        if folder.split("/")[0] not in ALLOWED:
            problems.append(f"{name}:1: src/{folder} is not a room (tools/check_layers.py lists them)")
            continue
        for number, line in enumerate(lines, 1):
            match = INCLUDE.match(line)
            message = match and problem_with(folder, *match.groups())
            if message:
                problems.append(f"{name}:{number}: {message}")
    return problems


if __name__ == "__main__":
    found = check(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent)
    print("\n".join(found) if found else "layers: all includes follow the arrows")
    sys.exit(1 if found else 0)
