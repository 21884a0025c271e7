"""tools/check_layers.py finds each kind of violation and lets through what is allowed. Usage: THIS CHECK_LAYERS_PY FOLDER

FOLDER is for the cases' files. (No tempfile: it needs shutil, which Debian 13's python3-minimal does not have.)
"""
import importlib.util
import sys
from pathlib import Path

# File, its text, and how the only expected complaint begins (None: no complaint).
CASES = [
    ("src/kernels/a.cc", '#include "base/error.h"\n#include "hwy/highway.h"\n#include <vector>\n', None),
    ("src/kernels/a.cc", '\n#include "tensor/tensor.h"\n', "src/kernels/a.cc:2: kernels must not include"),
    ("src/kernels/norm/a.cc", "#include <dnnl.hpp>\n", "src/kernels/norm/a.cc:1: <dnnl.hpp> is for kernels/gemm only"),
    ("src/kernels/gemm/a.cc", "#include <dnnl.hpp>\n", None),
    ("src/nn/a.h", '#include "autograd/ops.h"\n', None),
    ("src/nn/a.h", '#include "kernels/norm/norm.h"\n', "src/nn/a.h:1: nn must not include"),
    ("src/models/a.cc", '#include "autograd/ops.h"\n#include "nn/linear.h"\n', None),
    ("src/models/a.cc", '#include "autograd/tape.h"\n', "src/models/a.cc:1: models must not include"),
    ("examples/a.cc", '#include "nn/linear.h"\n#include "models/registry.h"\n', None),
    ("examples/a.cc", '#include "models/registry.h"\n#include "kernels/norm/norm.h"\n', "examples/a.cc:2: models must not include"),
    ("examples/a.cc", '#include "kernels/optimizer/optimizer.h"\n#include "optim/rule.h"\n', None),
    ("examples/a.cc", '#include "optim/rule.h"\n#include "models/model.h"\n', "examples/a.cc:2: optim must not include"),
    ("examples/a.cc", '#include "autograd/ops.h"\n#include "objective/term.h"\n', None),
    ("examples/a.cc", '#include "objective/term.h"\n#include "train/step.h"\n', "examples/a.cc:2: objective must not include"),
    ("examples/a.cc", '#include "base/error.h"\n', "examples/a.cc:1: registers nothing"),
    ("examples/program/a.cc", '#include "base/error.h"\n', None),
    ("src/objective/a.cc", '#include "models/model.h"\n#include "autograd/ops.h"\n', None),
    ("src/objective/a.cc", '#include "kernels/loss/loss.h"\n', "src/objective/a.cc:1: objective must not include"),
    ("src/infer/a.cc", '#include "eval/a.h"\n', "src/infer/a.cc:1: infer must not include"),
    ("src/eval/a.cc", '#include "infer/a.h"\n#include "data/a.h"\n', None),
    ("src/eval/a.cc", '#include "train/a.h"\n', "src/eval/a.cc:1: eval must not include"),
    ("src/train/a.cc", '#include "cli/a.h"\n', "src/train/a.cc:1: train must not include"),
    ("src/train/a.cc", '#include "compare/a.h"\n', "src/train/a.cc:1: train must not include"),
    ("src/checks/a.cc", '#include "compare/a.h"\n', "src/checks/a.cc:1: checks must not include"),
    ("src/stories/a.cc", '#include "data/a.h"\n', "src/stories/a.cc:1: stories must not include"),
    ("src/cli/a.cc", '#include <CLI/CLI.hpp>\n#include "train/a.h"\n#include "api/a.h"\n', None),
    ("src/api/a.cc", '#include <flashlm/model.h>\n#include "train/a.h"\n', None),
    ("src/api/a.cc", '#include "cli/a.h"\n', "src/api/a.cc:1: api must not include"),
    ("src/train/a.cc", '#include "api/a.h"\n', "src/train/a.cc:1: train must not include"),
    ("include/flashlm/a.h", "#include <flashlm/b.h>\n#include <vector>\n#include <stdint.h>\n", None),
    ("include/flashlm/a.h", "\n#include <fmt/format.h>\n", "include/flashlm/a.h:2: public headers include"),
    ("include/flashlm/a.hpp", '#include "base/error.h"\n', "include/flashlm/a.hpp:1: public headers include"),
    ("src/eval/a.cc", "#include <nlohmann/json.hpp>\n", "src/eval/a.cc:1: <nlohmann/json.hpp> is for base and io only"),
    ("src/text/a.cc", "#include <pcre2.h>\n", "src/text/a.cc:1: <pcre2.h> is for tests only"),
    ("tests/text/a.cc", "#include <pcre2.h>\n", None),
    ("src/base/a.cc", '#include "neighbour.h"\n', 'src/base/a.cc:1: "neighbour.h" names no room'),
    ("src/attic/a.cc", "int x;\n", "src/attic/a.cc:1: src/attic is not a room"),
    ("tests/base/a.cc", "\n" * 701, "tests/base/a.cc:701: more than 700 lines"),
    ("README.md", "\n", ":0: no sources here"),
]


def main():
    spec = importlib.util.spec_from_file_location("check_layers", sys.argv[1])
    check_layers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check_layers)
    failures = 0
    for number, (name, text, expected) in enumerate(CASES):
        folder = Path(sys.argv[2]) / str(number)
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        found = [line.removeprefix(str(folder)) for line in check_layers.check(folder)]
        file.unlink()
        if len(found) != (expected is not None) or (found and not found[0].startswith(expected)):
            failures += 1
            print(f"{name}: {text.strip()!r}\n  expected {expected}\n  found    {found}")
    sys.exit(1 if failures else 0)


main()
