"""How far the resident memory of a child grows while it runs some lines: arrays of every library count."""

import subprocess
import sys

_CHILD = """
import torch
torch.set_num_threads(1)
{before}
def resident(kind):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(kind)) / 1024
start = resident("VmRSS")
{lines}
print("grown", resident("VmHWM") - start)
"""


def growth(folder, before, lines):
    """Run lines in a folder after those before, such as imports; give how far they raised the memory [MiB]."""
    code = _CHILD.format(before=before, lines=lines)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return float(done.stdout.split("grown")[1])
