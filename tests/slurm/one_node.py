"""A SLURM of the tests' own: one node on this machine, its daemons started with a configuration in a temporary folder
and stopped by their process ids. It needs root and Debian's slurm-wlm and munge, which `make test-slurm` installs."""

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "profiles", "workflow", "config", "envs", "src", "pyproject.toml")
DAEMONS = ("munged", "slurmctld", "slurmd")
# Without cgroups, so that it runs in a container; the node claims more than the machine may have. A finished job is
# remembered for a day, and no limit says how quick the machine must be: SLURM's own forget a job, a message or the node
# after seconds or minutes.
SLURM_CONF = """
ClusterName=madpipe
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SchedulerParameters=batch_sched_delay=0,bf_interval=1
MinJobAge=86400
MessageTimeout=30
TCPTimeout=60
BatchStartTimeout=600
SlurmdTimeout=0
UnkillableStepTimeout=600
OverTimeLimit=UNLIMITED
KillWait=5
ReturnToService=2
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=64000 Gres=gpu:1 State=UNKNOWN
PartitionName=cpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=ALL MaxTime=INFINITE State=UP
"""


def missing():
    """Say what the tests lack here, if anything."""
    if os.geteuid() != 0:
        return "SLURM's daemons need root"
    absent = [name for name in DAEMONS if shutil.which(name) is None]
    if absent:
        return f"{', '.join(absent)} absent: apt-get install slurm-wlm munge, or make test-slurm"
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        return "snakemake-executor-plugin-slurm absent: pip install madpipe[slurm], or make test-slurm"
    return ""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(condition, what, seconds=1200):
    """Ask again and again until there is an answer; give it. The limit ends what never comes, not what is slow."""
    end = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < end, f"no {what} within {seconds} s"
        time.sleep(0.2)
    return answer


class Cluster:
    """munged, slurmctld and slurmd in a folder of their own."""

    def __init__(self, folder):
        self.folder = folder
        self.running = {}
        self.clients = []
        # the executor's plugin takes SLURM_CONF away from the srun that it starts, so that srun gets it here
        srun = folder / "bin" / "srun"
        srun.parent.mkdir()
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n')
        srun.chmod(0o755)
        path = os.pathsep.join([str(srun.parent), os.environ["PATH"]])
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": path}
        folder.chmod(0o755)  # munged runs as another user
        for name in ("state", "spool", "munge"):
            (folder / name).mkdir()
        places = {"folder": folder, "host": socket.gethostname().split(".")[0]}
        ports = {"controller_port": free_port(), "node_port": free_port()}
        (folder / "slurm.conf").write_text(SLURM_CONF.format(**places, **ports))
        (folder / "gres.conf").write_text("Name=gpu File=/dev/null\n")
        key = folder / "munge" / "key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        for path in (folder / "munge", key):
            shutil.chown(path, "munge", "munge")

    def start(self, name):
        """Start a daemon as our own child."""
        munge = self.folder / "munge"
        options = [f"--{word}={munge / word}" for word in ("socket", "pid-file", "log-file", "seed-file")]
        words = {
            "munged": ["--foreground", f"--key-file={munge / 'key'}", *options],
            "slurmctld": ["-D"],
            "slurmd": ["-D"],
        }[name]
        with (self.folder / f"{name}.out").open("a") as output:
            self.running[name] = subprocess.Popen(
                [shutil.which(name), *words],
                env=self.environment,
                stdout=output,
                stderr=output,
                user="munge" if name == "munged" else None,
                start_new_session=True,
            )
        return self.running[name]

    def stop(self, name, signal_number=signal.SIGTERM):
        """End a daemon by its process id."""
        process = self.running.pop(name)
        process.send_signal(signal_number)
        process.wait(600)

    def wait_until_idle(self):
        """Wait for the node to be there, with nothing to do."""
        try:
            wait_for(lambda: self.ask("sinfo", "--noheader", "--format", "%T").startswith("idle"), "idle node")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()}") from error

    def ask(self, *words):
        """Run one of SLURM's commands; give what it prints, nothing while the controller is away."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    def jobs(self, *states):
        """Numbers of the jobs in these states."""
        return self.ask("squeue", "--noheader", "--states", ",".join(states), "--format", "%i").split()

    def job(self, number):
        """What the controller knows of a job, by name."""
        words = self.ask("scontrol", "show", "job", number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def log(self):
        """Ends of the daemons' logs."""
        return "\n".join(f"{path.name}: {path.read_text()[-1500:]}" for path in sorted(self.folder.glob("*.log")))
