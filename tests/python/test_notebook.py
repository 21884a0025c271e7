"""examples/notebook.ipynb, from its first cell to its last, with seconds in place of its minute."""
import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "notebook.ipynb"


def test_notebook_runs(capsys):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    cells = ["".join(cell["source"]) for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    program = "\n".join(cells).replace('TIME = "1m"', 'TIME = "3s"').replace("bytes=4000000", "bytes=200000")
    assert program.count('"3s"') == 1
    exec(compile(program, str(NOTEBOOK), "exec"), {"__name__": "__main__"})
    written = capsys.readouterr().out
    assert "bits per byte held out" in written and written.count("Once upon a time") >= 3 and "expected" in written
