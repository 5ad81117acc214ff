"""One cluster for all tests; it ends with them."""

import shutil
import tempfile
from pathlib import Path

import pytest
from one_node import Cluster, missing, wait_for


@pytest.fixture(scope="session")
def cluster():
    """A cluster of one node with one GPU that is none."""
    if reason := missing():
        pytest.skip(reason)
    made = Cluster(Path(tempfile.mkdtemp(prefix="slurm-")))
    try:
        made.start("munged")
        wait_for(lambda: (made.folder / "munge" / "socket").exists(), "munged")
        made.start("slurmctld")
        made.start("slurmd")
        made.wait_until_idle()
        yield made
    finally:
        for process in made.clients:
            if process.poll() is None:
                process.kill()
                process.wait()
        made.ask("scancel", "--user", "root")
        for name in list(made.running)[::-1]:
            made.stop(name)
        shutil.rmtree(made.folder, ignore_errors=True)
