"""The tutorial's blocks run, in their order, in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

TUTORIAL = Path(__file__).resolve().parents[1] / "docs" / "tutorial.md"


def test_every_block_of_the_tutorial_runs(tmp_path):
    blocks = re.findall(r"^```(python|bash)\n(.*?)^```", TUTORIAL.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 6
    lines = ["import subprocess, torch", "torch.set_default_dtype(torch.float64)"]
    for kind, code in blocks:
        shell = f"subprocess.run(['bash', '-eu', '-c', {code!r}], check=True)"
        lines.append(code if kind == "python" else shell)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "R = 0." in done.stdout
