"""The workflow on a real SLURM, through its profile, and what goes wrong there: nothing is lost, and a rerun finishes.

Jobs cost ten seconds each: three interpreters start and read the workflow. So every DAG here is small, and one run may
meet more than one fault.
"""

import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import yaml
from one_node import PARTS, ROOT, wait_for

from madpipe.base import runtime, store
from madpipe.mad.config import FitConfig
from madpipe.mad.fit.fit import fit_stack
from madpipe.mad.records import Fit, Stack

pytestmark = pytest.mark.slurm

QUICK = ("--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "5")
NOTHING = dict.fromkeys(
    ("core_shell_2d", "core_shell_3d", "control_resonant", "control_no_resonant", "drifting", "p9"), None
)
ENERGIES = tuple(8300.0 + 5 * number for number in range(16))
TRAINING = {
    "samples": NOTHING,
    "evaluate": {"sets": []},
    "infer": {"weights": "trained"},
    "train": {
        "particles": 4,
        "volumes": 0,
        "validation_particles": 4,
        "validation_volumes": 0,
        "steps": 600,
        "validate_every": 20,
        "batch": 4,
        "width": 8,
        "patience": 1000,
        "threads": 1,
        "prior": {"grid": 32},
    },
}
TRAINED = "mad/network/weights.safetensors"


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """A copy of what the workflow needs."""
    folder = tmp_path_factory.mktemp("slurm") / "project"
    folder.mkdir()
    for part in PARTS:
        source = ROOT / part
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / part)
    return folder


class Run:
    """One Snakemake, on the cluster or here, whose results go into a folder of their own."""

    def __init__(self, project, name, mad, **others):
        self.project, self.name = project, name
        self.results = project / name
        self.overlay = project / f"{name}.yaml"
        self.overlay.write_text(yaml.safe_dump({"results": name, "logs": f"{name}/logs", "mad": mad, **others}))

    def start(self, cluster, *words, target="all"):
        """Start it through SLURM's profile."""
        target = target if target == "all" else f"{self.name}/{target}"
        base = ("--workflow-profile", "profiles/slurm", *QUICK, "--configfile", self.overlay.name)
        return self._started(cluster, *base, *words, "--", target)

    def _started(self, cluster, *words):
        environment = {**cluster.environment, "PYTHONPATH": str(self.project / "src"), "OMP_NUM_THREADS": "1"}
        self.output = self.project / f"{self.name}.out"
        with self.output.open("a") as output:
            command = [sys.executable, "-m", "snakemake", *words]
            self.process = subprocess.Popen(
                command, cwd=self.project, env=environment, stdout=output, stderr=output, start_new_session=True
            )
        cluster.clients.append(self.process)
        return self.process

    def finish(self, cluster, *words, target="all"):
        """Run it on the cluster to its good end; give what it printed."""
        self.start(cluster, *words, target=target)
        return self.ended()

    def ended(self, well=True, seconds=7200):
        """Wait for its end; give what it printed."""
        code = self.process.wait(seconds)
        assert (code == 0) == well, self.text()[-6000:]
        return self.text()

    def here(self, cluster, *words, target="all"):
        """Run it on this machine."""
        self._started(cluster, "--cores", "2", "--configfile", self.overlay.name, *words, "--", f"{self.name}/{target}")
        return self.ended()

    def text(self):
        return self.output.read_text()

    def numbers(self):
        """SLURM's numbers of the jobs that it submitted, in order."""
        return re.findall(r"submitted with SLURM jobid (\d+)", self.text())

    def submitted(self, count):
        """Wait until so many jobs have been submitted; give the last one's number."""
        return wait_for(lambda: len(self.numbers()) >= count and self.numbers()[count - 1], f"job {count}")

    def log(self, name):
        """A job's log; nothing before it has begun, since a new attempt takes the last one's away."""
        path = self.results / "logs" / "mad" / name
        return path.read_text() if path.exists() else ""


def temporary_files(folder):
    """What an unfinished write leaves."""
    return [str(path) for path in folder.rglob(".*") if path.name.endswith((".part", ".parts", ".ckpt"))]


@pytest.fixture(scope="session")
def weights(project, cluster):
    """What an undisturbed training on this machine gives, to the bit."""
    run = Run(project, "undisturbed", TRAINING)
    run.here(cluster, target=TRAINED)
    return (run.results / TRAINED).read_bytes()


# -- the whole workflow ---------------------------------------------------------------------------------------


def test_the_smoke_workflow_runs_through_slurm(cluster, project):
    """Training, a volume shared by three jobs, retrieval, scores and figures; the same bytes as on this machine."""
    whole = yaml.safe_load((ROOT / "config" / "smoke.yaml").read_text())
    smoke = whole["mad"]
    volume = {**smoke["samples"]["core_shell_3d"], "parts": 3}
    changes = {
        "samples": {**NOTHING, "core_shell_3d": volume},
        "evaluate": {"sets": []},
        "fit": {"chunk_points": 4096},
        "train": {**smoke["train"], "steps": 10},
        "retrieve": {**smoke["retrieve"], "joint": {"attempts": 1, "kicks": 0, "steps": 3, "draws": 4}},
    }
    run = Run(project, "smoke", {**smoke, **changes}, rocking=whole["rocking"])
    text = run.finish(cluster)
    jobs = [cluster.job(number) for number in run.numbers()]
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    rules = {job["JobId"]: re.search(r"(rule|group)_\w+?(?=_wildcards|$)", job["Comment"])[0] for job in jobs}
    of_rule = {rule: [job for job in jobs if rules[job["JobId"]] == rule] for rule in rules.values()}
    assert len(of_rule["rule_mad_fit_part"]) == len(of_rule["rule_mad_infer_part"]) == 3
    for rule, found in of_rule.items():
        uses_gpu = rule in ("rule_mad_train", "rule_mad_infer", "rule_mad_infer_part", "rule_mad_retrieve")
        assert {job["Partition"] for job in found} == {"gpu" if uses_gpu else "cpu"}, rule
        assert all(("gres:gpu:1" in job.get("TresPerJob", "")) == uses_gpu for job in found), rule
    assert len([rule for rule in rules.values() if rule.startswith("group_")]) <= 3  # a dozen figures and the scores
    assert len(list((run.results / "mad" / "figures").rglob("*.png"))) >= 10
    assert not temporary_files(run.results)
    assert not list((run.results / "mad").rglob("parts/*.h5"))
    assert "Nothing to be done" in run.finish(cluster)[len(text) :]
    alone = Run(project, "alone", {**smoke, **changes, "samples": {**NOTHING, "core_shell_3d": {**volume, "parts": 1}}})
    shutil.copytree(run.results / "mad" / "network", alone.results / "mad" / "network")
    for name in ("fit.h5", "inferred.h5"):
        target = f"mad/core_shell_3d/{name}"
        alone.here(cluster, "--allowed-rules", "mad_simulate", "mad_fit", "mad_infer", target=target)
        assert (alone.results / target).read_bytes() == (run.results / target).read_bytes(), name


# -- faults of jobs -------------------------------------------------------------------------------------------


def run_npz(path, size):
    """Write a beamline's file: noise about a constant, at sixteen energies."""
    photons = np.random.default_rng(1).poisson(50.0, (len(ENERGIES), size, size, size)).astype(np.float32)
    axis = np.linspace(-0.01, 0.01, size)
    np.savez(path, intensity=photons, energy_ev=np.array(ENERGIES), qx=axis, qy=axis, qz=axis, f0=20.5)


def test_a_job_that_fails_and_one_killed_while_it_writes_are_run_again(cluster, project):
    """The first attempt meets a broken file and the second, with twice the memory, one that is mended; the fit is
    killed when a slab of its answer is in the file, and goes on from there."""
    measured = {"path": ["run.npz"], "element": "Ni", "edge": "K", "steps": ["fit"]}
    run = Run(project, "faults", {"samples": {**NOTHING, "mine": measured}})
    run_npz(project / "mended.npz", 88)
    (project / "run.npz").write_bytes(b"not numpy")
    run.start(cluster, target="mad/mine/fit.h5")
    first = run.submitted(1)
    wait_for(lambda: cluster.job(first).get("JobState") == "FAILED", "failed job")
    old = (project / "run.npz").stat()
    (project / "mended.npz").replace(project / "run.npz")
    os.utime(project / "run.npz", ns=(old.st_atime_ns, old.st_mtime_ns))
    second = run.submitted(2)
    memory = [int(cluster.job(number)["MinMemoryNode"].removesuffix("M")) for number in (first, second)]
    assert memory[1] >= 2 * memory[0]
    third = run.submitted(3)
    folder = run.results / "mad" / "mine"
    wait_for(lambda: any(file.stat().st_size for file in folder.glob(".fit.h5.parts/*.done")), "first slab")
    cluster.ask("scancel", "--signal", "KILL", "--full", third)
    wait_for(lambda: cluster.job(third).get("JobState") not in ("RUNNING", "COMPLETING"), "end of the job")
    assert not (folder / "fit.h5").exists()
    run.ended()
    assert len(run.numbers()) == 4
    assert re.search(r"fit: [1-9] of 3 slabs are there from an earlier run", run.log("mine/fit.log"))
    assert not temporary_files(run.results)
    runtime.fix_threads(1)
    whole, stack = store.read(folder / "fit.h5", Fit), store.read(folder / "stack.h5", Stack)
    assert np.array_equal(whole.f_total, fit_stack(stack, FitConfig()).f_total)


def checkpoint_of(run):
    """Wait for the training's checkpoint, and give when it was written."""
    path = run.results / "mad" / "network" / "train.ckpt"
    return wait_for(lambda: path.exists() and path.stat().st_mtime_ns, "checkpoint")


def resumed_from(run):
    """Step that the training last went on from."""
    return int(re.search(r"training goes on from step (\d+)", run.log("network/train.log"))[1])


def test_a_training_killed_half_way_goes_on_and_the_controller_may_die_meanwhile(cluster, project, weights):
    """The job does not notice. Snakemake's plugin may forget it: it asks sacct while the controller is away, and drops
    jobs of which it is told nothing (2.8.0 and every 2.x before). Then docs/cluster.md helps: start again.
    """
    run = Run(project, "killed", TRAINING)
    run.start(cluster, target=TRAINED)
    first = run.submitted(1)
    checkpoint_of(run)
    cluster.ask("scancel", "--signal", "KILL", "--full", first)
    second = run.submitted(2)
    wait_for(lambda: "goes on from step" in run.log("network/train.log"), "second attempt")
    assert cluster.job(second)["JobState"] == "RUNNING"
    cluster.stop("slurmctld", signal.SIGKILL)
    assert not cluster.ask("squeue")
    assert run.process.poll() is None
    wait_for((run.results / TRAINED).exists, "training without a controller")
    cluster.start("slurmctld")
    cluster.wait_until_idle()
    assert 0 < resumed_from(run) < TRAINING["train"]["steps"]
    assert (run.results / TRAINED).read_bytes() == weights
    if run.process.poll() is None:
        run.process.send_signal(signal.SIGINT)
    run.process.wait()
    run.finish(cluster, target=TRAINED)
    assert (run.results / TRAINED).read_bytes() == weights
    cluster.wait_until_idle()


# -- Snakemake itself ends ------------------------------------------------------------------------------------


def test_ctrl_c_cancels_the_jobs_and_after_kill_9_the_recipe_of_the_readme_helps(cluster, project, weights):
    run = Run(project, "ended", TRAINING)
    process = run.start(cluster, target=TRAINED)
    first = run.submitted(1)
    checkpoint_of(run)
    process.send_signal(signal.SIGINT)
    run.ended(well=False)
    wait_for(lambda: cluster.job(first).get("JobState") == "CANCELLED", "cancelled job")
    assert not (run.results / TRAINED).exists()

    process = run.start(cluster, target=TRAINED)
    second = run.submitted(2)
    wait_for(lambda: "goes on from step" in run.log("network/train.log"), "resumed training")
    process.kill()
    process.wait()
    assert cluster.job(second)["JobState"] == "RUNNING"  # nobody told SLURM
    name = re.findall(r"SLURM run ID: (\S+)", run.text())[-1]
    cluster.ask("scancel", "--name", name)
    wait_for(lambda: cluster.job(second).get("JobState") == "CANCELLED", "cancelled job")
    start = len(run.text())
    run.start(cluster, target=TRAINED)
    assert "--unlock" in run.ended(well=False)[start:]
    run.finish(cluster, "--unlock", target=TRAINED)
    run.finish(cluster, target=TRAINED)
    assert len(run.numbers()) == 3
    assert (run.results / TRAINED).read_bytes() == weights
    assert not cluster.jobs("RUNNING", "PENDING")
