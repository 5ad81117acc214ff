"""The DAG: it resolves, switches add exactly the rules they should, the smoke run makes everything, edits rerun what
they touch and nothing else. Runs on a copy of the checkout, so that nothing here disturbs the user's results."""

import csv
import html
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml
from snakemake.api import SnakemakeApi
from snakemake.exceptions import WorkflowError
from snakemake.logging import DefaultFormatter, logger
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    OutputSettings,
    ResourceSettings,
    WorkflowSettings,
)

from madpipe import config as configuration
from madpipe.base.config import dropped_nulls, merge, read_yaml, validate
from madpipe.base.origin import BESIDE, READERS, read_origin
from madpipe.mad.figures import FIGURES, of_one_sample
from madpipe.mad.network.variants import VARIANTS
from madpipe.studies import STUDIES

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
PARTS = ("Snakefile", "workflow", "config", "envs", "src", "pyproject.toml")

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of what the workflow needs, with ../shared beside it where there is one."""
    return copied(tmp_path_factory.mktemp("workflow") / "project")


def copied(folder):
    """Copy what the workflow needs."""
    folder.mkdir()
    for part in PARTS:
        source = ROOT / part
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / part)
    if SHARED.is_dir():
        (folder.parent / "shared").symlink_to(SHARED)
    return folder


def environment_of(package, **environment):
    """What a module of a project's copy runs with."""
    return {**os.environ, "PYTHONPATH": str(package / "src"), "OMP_NUM_THREADS": "1", **environment}


def python(folder, package, *words, **environment):
    """Run a module in a folder, with the package of a project's copy."""
    environment = environment_of(package, **environment)
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def snakemake(project, *words, fails=False, package=None, **environment):
    """Run Snakemake in the copy with the copy's package; give what it printed."""
    done = python(project, package or project, "snakemake", "--cores", "2", *words, **environment)
    output = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, output[-6000:]
    return output


def verified(project, *words):
    """Exit status and lines of `madpipe verify` on the smoke run."""
    done = python(project, project, "madpipe", "verify", "results/smoke", *words)
    return done.returncode, done.stdout.splitlines()


class Said(logging.Handler):
    """What Snakemake says, as it prints it."""

    def __init__(self):
        super().__init__()
        self.lines = []
        self.setFormatter(DefaultFormatter())

    def emit(self, record):
        self.lines.append(self.format(record))


def dry_run(project, *words):
    """Give what a dry run says, from this process: targets, then overlays after `--configfile`.

    It starts no interpreter. The package is the checkout's, whose code the copy has too: where a test edits the copy's,
    or results note whose code made them, `listed` starts Snakemake with the copy's.
    """
    targets, files = words, ()
    if "--configfile" in words:
        at = words.index("--configfile")
        targets, files = words[:at], words[at + 1 :]
    said, path = Said(), sys.path[:]
    snakefile = next(file for file in (project / "Snakefile", project / "workflow" / "Snakefile") if file.exists())
    try:
        with SnakemakeApi(OutputSettings(dryrun=True)) as api:
            logger.handlers[:] = [said]
            workflow = api.workflow(
                ResourceSettings(cores=2),
                ConfigSettings(configfiles=[project / file for file in files]),
                workflow_settings=WorkflowSettings(runtime_source_cache_path=project / ".snakemake" / "sources"),
                snakefile=snakefile,
                workdir=project,
            )
            workflow.dag(DAGSettings(targets=set(targets))).execute_workflow("dryrun")
    finally:
        logger.removeHandler(said)
        sys.path[:] = path
    return "\n".join(said.lines)


def planned(project, *words):
    """Count the jobs of each rule that a dry run lists."""
    return counted(dry_run(project, *words))


def listed(project, *words):
    """Count them in a process of its own, with the copy's package."""
    return counted(snakemake(project, "--dry-run", *words))


def counted(output):
    """Read the table of jobs that Snakemake prints."""
    table = re.search(r"job +count\n[-\s]+\n(.*?)\ntotal", output, re.DOTALL)
    jobs = dict(line.split() for line in table[1].splitlines()) if table else {}
    return Counter({rule: int(count) for rule, count in jobs.items()})


def overlay(project, content, name="overlay.yaml"):
    """Write an overlay and give the words that lay it over the default configuration."""
    (project / name).write_text(yaml.safe_dump(content))
    return ("--configfile", name)


NOTHING_ELSE = dict.fromkeys(
    ("core_shell_2d", "core_shell_3d", "control_resonant", "control_no_resonant", "drifting"), None
)


@pytest.mark.parametrize("name", configuration.written())
def test_configuration_files_are_the_studies_written_out(name):
    assert (ROOT / "config" / name).read_text() == configuration.written()[name], "run `make configs`"


@pytest.mark.parametrize("file", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.name)
def test_every_configuration_file_is_valid(file):
    values = merge(read_yaml(ROOT / "config" / "config.yaml"), read_yaml(file))
    validate(configuration.Config, dropped_nulls(values))


def test_default_run_holds_every_step(project):
    jobs = planned(project)
    measured = 1 if SHARED.is_dir() else 0
    assert jobs["mad_simulate"] == 5
    assert jobs["mad_convert"] == measured
    assert jobs["mad_fit"] == jobs["mad_validate"] == 5 + measured
    assert jobs["mad_train"] == 0
    assert jobs["mad_infer"] == 4
    assert jobs["mad_retrieve"] == 2
    assert jobs["mad_simulate_suite"] == jobs["mad_evaluation"] == 1
    assert (jobs["mad_evaluate"], jobs["mad_evaluate_fit"]) == (2, 1)
    assert jobs["mad_shared_figures"] == 5
    assert sum(count for name, count in jobs.items() if name.startswith("mad_figures_")) == 5 + measured


def test_curves_of_the_second_study_are_fitted_scored_and_drawn(project):
    jobs = planned(project, *overlay(project, {"studies": ["rocking"]}))
    assert not any(name.startswith("mad") for name in jobs)
    ran = {name: count for name, count in jobs.items() if name.startswith("rocking")}
    at_hand = 1 + 2 * SHARED.is_dir()
    expected = {
        "rocking_simulate": 1,
        "rocking_fit": at_hand,
        "rocking_infer": 1,
        "rocking_validate": at_hand + 1,
        "rocking_figures_fit_infer": 1,
        "rocking_evaluate": 1,
        "rocking_evaluation_figures": 1,
    }
    assert ran == expected | ({"rocking_convert": 2, "rocking_figures_fit": 2} if SHARED.is_dir() else {})


@pytest.mark.parametrize("study", [study.name for study in STUDIES])
def test_a_study_runs_alone(project, study):
    """Its rules, and those that gather every study's; an overlay that names its studies runs no other's samples."""
    jobs = planned(project, *overlay(project, {"studies": [study]}))
    assert {name for name in jobs if not name.startswith(f"{study}_")} == {
        "all",
        "resolved_config",
        "overview",
        "runtimes",
    }


@pytest.mark.parametrize(
    ("steps", "added"),
    [
        (["fit"], {"mad_simulate", "mad_fit", "mad_validate"}),
        (["fit", "infer"], {"mad_simulate", "mad_fit", "mad_validate", "mad_infer"}),
        (["fit", "retrieve"], {"mad_simulate", "mad_fit", "mad_validate", "mad_retrieve", "mad_retrieve_apart"}),
        (["infer", "retrieve"], {"mad_simulate", "mad_validate", "mad_infer", "mad_retrieve", "mad_retrieve_apart"}),
        (["retrieve"], {"mad_simulate", "mad_validate", "mad_retrieve"}),
    ],
)
def test_a_step_adds_its_own_rules_only(project, steps, added):
    samples = {**NOTHING_ELSE, "p9": None, "alone": {"dimensions": 2, "grid": 32, "steps": steps}}
    words = overlay(project, {"studies": ["mad"], "mad": {"samples": samples, "evaluate": {"sets": []}}})
    frame = {"all", "resolved_config", "mad_shared_figures", f"mad_figures_{'_'.join(steps)}", "overview", "runtimes"}
    assert set(planned(project, *words)) - frame == added


def test_the_test_suite_is_compared_where_the_network_runs(project):
    samples = {**NOTHING_ELSE, "p9": None, "alone": {"dimensions": 2, "grid": 32, "steps": ["fit", "infer"]}}
    words = overlay(project, {"mad": {"samples": samples, "evaluate": {"methods": ["exact", "unet_patches"]}}})
    jobs = planned(project, *words)
    assert (jobs["mad_simulate_suite"], jobs["mad_evaluate"], jobs["mad_evaluate_fit"]) == (1, 1, 1)
    assert jobs["mad_evaluation"] == 1
    assert jobs["mad_train"] == 1  # the reference design
    samples["alone"]["steps"] = ["fit"]
    jobs = planned(project, *overlay(project, {"mad": {"samples": samples}}))
    assert jobs["mad_simulate_suite"] == jobs["mad_train"] == 0


def test_a_network_of_one_s_own_is_trained_once_and_its_training_drawn(project):
    jobs = planned(project, *overlay(project, {"mad": {"infer": {"weights": "trained"}}}))
    assert jobs["mad_train"] == 1
    assert jobs["mad_infer"] == 4
    assert jobs["mad_shared_figures"] == planned(project)["mad_shared_figures"] + 1


def test_composition_is_drawn_against_photons_where_there_are_three_budgets(project):
    drawing = "results/photons/mad/figures/composition_errors.pdf"
    jobs = planned(project, drawing, "--configfile", "config/photons.yaml")
    assert jobs["mad_retrieve"] == 8
    assert jobs["mad_retrieve_apart"] == 16
    assert jobs["mad_shared_figures"] == 1


def test_the_paper_holds_the_photon_study_the_suite_and_every_figure(project):
    """What paper.yaml repeats of other overlays, which take away the samples that it keeps, is theirs."""
    paper, photons, suite = (
        dropped_nulls(read_yaml(ROOT / "config" / f"{name}.yaml"))["mad"] for name in ("paper", "photons", "suite")
    )
    assert paper["samples"].items() >= photons["samples"].items()
    assert paper["evaluate"] == suite["evaluate"]
    for name in ("faint", "bright"):
        assert paper["samples"][name] == suite["samples"][name]
    ablation = "results/paper/mad/figures/ablation.pdf"
    jobs = planned(project, "all", ablation, "--configfile", "config/weights.yaml", "config/paper.yaml")
    assert jobs["mad_train"] == 2  # madpipe's network and the reference design
    assert jobs["mad_retrieve"] == 2 + 1 + len(photons["samples"])
    assert jobs["mad_evaluate"] + jobs["mad_evaluate_fit"] == len(suite["evaluate"]["methods"])
    assert jobs["mad_ablate"] == 3 * len(VARIANTS)
    assert jobs["mad_shared_figures"] == sum(not of_one_sample(name) for name in FIGURES)


def test_the_ablation_runs_when_asked_for_only(project):
    jobs = planned(project, "results/mad/figures/ablation.pdf")
    assert jobs["mad_ablate"] == 3 * len(VARIANTS)
    assert jobs["mad_ablation"] == jobs["mad_shared_figures"] == 1
    assert planned(project)["mad_ablate"] == 0


def test_a_measured_stack_is_five_lines_of_yaml(project):
    (project / "run.npz").write_bytes(b"")
    sample = {"path": ["run.npz"], "element": "Ni", "edge": "K", "steps": ["fit"]}
    jobs = planned(project, *overlay(project, {"mad": {"samples": {**NOTHING_ELSE, "p9": None, "mine": sample}}}))
    assert jobs["mad_convert"] == jobs["mad_fit"] == jobs["mad_validate"] == 1
    assert jobs["mad_simulate"] == 0


def test_an_optional_sample_without_its_files_is_left_out_with_a_line(project):
    sample = {"path": ["nowhere.sca"], "element": "Se", "steps": ["fit"], "optional": True}
    words = overlay(project, {"mad": {"samples": {"p9": None, "gone": sample}}})
    assert "sample gone is left out" in dry_run(project, *words)
    assert planned(project, *words)["mad_convert"] == 0


def test_one_figure_regenerates_what_it_needs_only(project):
    jobs = planned(project, "results/mad/figures/error_vs_counts.pdf")
    assert jobs["mad_shared_figures"] == 1
    assert jobs["mad_validate"] == 5
    assert jobs["mad_convert"] == 0
    assert not any(name.startswith("mad_figures_") for name in jobs)


def test_a_figure_of_one_sample_comes_with_the_sample_s_others(project):
    jobs = planned(project, "results/mad/figures/core_shell_3d/retrieved.pdf")
    assert jobs["mad_figures_fit_infer_retrieve"] == jobs["mad_retrieve"] == jobs["mad_fit"] == jobs["mad_infer"] == 1
    assert jobs["mad_validate"] == 0


def test_an_unknown_key_is_refused_with_the_nearest_one(project):
    words = overlay(project, {"mad": {"fit": {"tolerence": 1e-3}}})
    with pytest.raises(WorkflowError, match=r"'mad.fit.tolerence' is unknown; did you mean 'tolerance'\?"):
        dry_run(project, *words)


# steps that share another step's section, or need a second one beside their own
SHARED_SECTIONS = {
    "refine": {"fit"},
    "fit_part": {"fit"},
    "infer_part": {"infer"},
    "retrieve_apart": {"retrieve", "fit"},  # of fit the priors alone, of these two
    "retrieve": {"fit"},
    "simulate_suite": {"evaluate"},
    "evaluate": {"infer", "fit", "validate"},
    "evaluate_fit": {"fit", "validate", "infer"},  # of infer the threads alone
    "ablate": {"ablation", "infer", "fit"},
    "infer": {"fit"},
    "shared_figures": {"figures"},
    "anomalous": {"separation"},
}


@pytest.mark.parametrize("study", [study.name for study in STUDIES])
def test_a_section_is_seen_by_its_own_rule_only(study):
    """Rules' params hold their own section: the fit's settings are nowhere in the training's."""
    text = (ROOT / "workflow" / "rules" / f"{study}.smk").read_text()
    rules = re.findall(r"^rule (\w+):(.*?)(?=^rule |\Z)", text, re.DOTALL | re.MULTILINE)
    assert rules
    for rule, body in rules:
        step = rule.removeprefix(f"{study}_")
        sections = set(re.findall(rf'="{study}\.(\w+)(?:\.\w+)*"', body)) - {"samples"}
        assert sections <= {step} | SHARED_SECTIONS.get(step, set()), rule


def test_rules_that_use_a_gpu_are_sent_to_its_partition():
    """A study's own among them: profiles/slurm names them by hand."""
    asking = set()
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        rules = re.findall(r"^rule (\w+):(.*?)(?=^rule |\Z)", path.read_text(), re.DOTALL | re.MULTILINE)
        asking |= {rule for rule, body in rules if "gpu=1" in body}
    profile = read_yaml(ROOT / "workflow" / "profiles" / "slurm" / "config.yaml")
    assert asking == set(profile["set-resources"])


SMOKE = ("--configfile", "config/smoke.yaml")
# Samples whose jobs are of the same kind as another's: a second run need not make them.
ALIKE = {"mad": ("core_shell_2d", "control_resonant")}
ELSEWHERE = {"PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo"}


@pytest.fixture(scope="module")
def smoke(project, request):
    """The project with its smoke run done; where a test asks for a run elsewhere, the two go side by side."""
    ours = [item for item in request.session.items if item.path == request.path]
    if any("elsewhere" in item.fixturenames for item in ours):
        request.getfixturevalue("elsewhere")
    snakemake(project, *SMOKE)
    return project


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A project with a smoke run of one sample of each kind under way: other folder, hash seed, time zone and cores."""
    again = copied(tmp_path_factory.mktemp("other") / "elsewhere")
    fewer = {study: {"samples": dict.fromkeys(names)} for study, names in ALIKE.items()}
    words = ["-m", "snakemake", "--cores", "1", *SMOKE, overlay(again, fewer)[1]]
    with (again / "output.txt").open("w") as output:
        run = subprocess.Popen(
            [sys.executable, *words], cwd=again, env=environment_of(again, **ELSEWHERE), stdout=output, stderr=output
        )
    yield again, run
    if run.poll() is None:
        run.terminate()
        run.wait()


def test_smoke_run_makes_every_file(smoke):
    data = smoke / "results" / "smoke" / "mad"
    for sample in ("core_shell_2d", "core_shell_3d"):
        for name in ("stack.h5", "fit.h5", "inferred.h5", "object.h5", "scores.json", "scores.csv", "split.csv"):
            assert (data / sample / name).stat().st_size > 0
    pictures = sorted(path.relative_to(data / "figures") for path in (data / "figures").rglob("*.pdf"))
    assert {Path("error_vs_counts.pdf"), Path("core_shell_3d/retrieved.pdf"), Path("dispersion.pdf")} <= set(pictures)
    for picture in pictures:
        assert (data / "figures" / picture).with_suffix(".png").stat().st_size > 0
        assert re.search(r"\d", (data / "figures" / picture).with_suffix(".txt").read_text()), picture
    scores = json.loads((data / "core_shell_2d" / "scores.json").read_text())
    assert set(scores["answers"]) == {"fit", "network"}
    assert set(scores["retrieve"]) == {"joint", "linked", "separate", "linked_network", "separate_network"}


def test_resolved_configuration_lies_beside_the_results(smoke):
    resolved = yaml.safe_load((smoke / "results" / "smoke" / "config.yaml").read_text())
    assert resolved["mad"]["samples"]["core_shell_2d"]["grid"] == 48
    validate(configuration.Config, resolved)


def results_of(project):
    """Content of every result, by its path."""
    root = project / "results" / "smoke"
    files = [path for path in root.rglob("*") if path.is_file() and root / "logs" not in path.parents]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def hand_over(smoke, again, names):
    """Copy results, all of one age, so that none looks older than what it is made from."""
    now = time.time()
    for name in names:
        path = again / "results" / "smoke" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(smoke / "results" / "smoke" / name, path)
        os.utime(path, (now, now))


def test_a_run_from_scratch_elsewhere_gives_the_same_bytes(smoke, elsewhere):
    """Other folder, cores, hash seed, time zone and time of day: nothing of them is in any result.

    The second run makes one sample of each kind; it is handed the others' results, and draws and sums up all of them.
    """
    again, run = elsewhere
    assert run.wait() == 0, (again / "output.txt").read_text()[-6000:]
    handed = sorted(set(results_of(smoke)) - set(results_of(again)))
    alike = {(study, name) for study, names in ALIKE.items() for name in names}
    assert [name for name in handed if not any(name.startswith(study) and one in name for study, one in alike)] == []
    hand_over(smoke, again, handed)
    jobs = listed(again, *SMOKE)
    assert not jobs["mad_fit"] + jobs["mad_train"] + jobs["mad_retrieve"]
    snakemake(again, *SMOKE, "--cores", "1", **ELSEWHERE)
    first, second = results_of(smoke), results_of(again)
    assert set(first) == set(second)
    assert {Path(name).suffix for name in first} >= {".h5", ".safetensors", ".json", ".csv", ".pdf", ".png", ".txt"}
    assert [name for name in first if first[name] != second[name]] == []
    assert [name for name in first if str(smoke).encode() in first[name]] == []


# parameters of a job that its wildcards or its sample's kind decide, not a key of the configuration of the same value
NO_SETTINGS = {"code", "method", "study", "design", "drawn", "answers", "profile"}


def test_every_result_says_by_which_settings_and_code_it_was_made(smoke):
    """And each parameter is known to `verify`: none can change unseen."""
    seen = set()
    for name in results_of(smoke):
        path = smoke / "results" / "smoke" / name
        if path.suffix not in (*READERS, *BESIDE):
            continue
        note = read_origin(path)["note_1"]
        rule, parameters = note["rule"], note["parameters"]
        seen.add(rule)
        assert set(parameters) - NO_SETTINGS <= set(note["config_keys"]), name
        assert all(note[fact] for fact in ("modules", "versions", "git_commit")), name
    assert seen >= {"mad_simulate", "mad_fit", "mad_train", "mad_infer", "mad_retrieve", "mad_validate", "mad_evaluate"}


def test_verify_finds_nothing_stale_after_a_run(smoke):
    status, lines = verified(smoke)
    assert (status, len(lines)) == (0, 1), lines
    assert re.fullmatch(r"\d+ files: 0 stale, 0 unknown, \d+ up to date", lines[0])
    assert verified(smoke, "--config", "config/smoke.yaml") == (0, lines)


def test_verify_names_the_module_that_changed_and_what_follows(smoke):
    loss = smoke / "src" / "madpipe" / "mad" / "network" / "loss.py"
    before = loss.read_text()
    loss.write_text(before + "\nEDITED = 1\n")
    status, lines = verified(smoke)
    loss.write_text(before)
    assert status == 1
    data = "results/smoke/mad"
    assert f"stale: {data}/network/weights.safetensors: code changed: madpipe.mad.network.loss" in lines
    inferred = f"stale: {data}/core_shell_2d/inferred.h5: input is stale: ../network/weights.safetensors"
    assert inferred in lines
    figure = f"stale: {data}/figures/core_shell_2d/network_maps{{.pdf,.png,.txt}}: input is stale: "
    assert [line for line in lines if line.startswith(figure)]
    assert not [line for line in lines if "fit.h5:" in line or "stack.h5:" in line]


def test_verify_names_the_key_that_changed(smoke):
    changed = {"seed": 5, "mad": {"fit": {"tolerance": 1e-5}, "samples": {"drifting": {"photons": 2e7}}}}
    (smoke / "changed.yaml").write_text(yaml.safe_dump(changed))
    status, lines = verified(smoke, "--config", "config/smoke.yaml", "changed.yaml")
    assert status == 1
    data = "results/smoke/mad"
    stack = "config changed: mad.samples.drifting.photons 10000000.0 -> 20000000.0, seed 2026 -> 5"
    assert f"stale: {data}/drifting/stack.h5: {stack}" in lines
    fit = "config changed: mad.fit.tolerance 1e-06 -> 1e-05; input is stale: stack.h5"
    assert f"stale: {data}/drifting/fit.h5: {fit}" in lines


def test_second_run_does_nothing(smoke):
    assert "Nothing to be done" in snakemake(smoke, *SMOKE)


def test_the_configuration_beside_the_results_is_all_that_makes_them_again(smoke):
    words = ("--configfile", "results/smoke/config.yaml", "--replace-workflow-config", "--dry-run")
    assert "Nothing to be done" in snakemake(smoke, *words)


def test_a_comment_reruns_nothing(smoke):
    loss = smoke / "src" / "madpipe" / "mad" / "network" / "loss.py"
    before = loss.read_text()
    loss.write_text("# a comment\n" + before)
    assert not listed(smoke, *SMOKE)
    loss.write_text(before)


def test_an_edit_of_the_loss_reruns_training_and_what_follows(smoke):
    loss = smoke / "src" / "madpipe" / "mad" / "network" / "loss.py"
    before = loss.read_text()
    loss.write_text(before + "\nEDITED = 1\n")
    jobs = listed(smoke, *SMOKE)
    loss.write_text(before)
    assert jobs["mad_train"] == 1
    assert jobs["mad_infer"] == 2
    assert jobs["mad_validate"] == 2  # those that the network answered
    assert jobs["mad_evaluate"] == 2
    assert jobs["mad_evaluate_fit"] == jobs["mad_simulate_suite"] == 0
    untouched = ("mad_simulate", "mad_fit", "mad_retrieve", "mad_convert")
    assert not any(jobs[name] for name in untouched)
    assert jobs["mad_retrieve_apart"] == 2  # two samples, from the network's answers alone


@pytest.fixture(scope="module")
def report(smoke):
    """The report of the smoke run."""
    snakemake(smoke, *SMOKE, "--report", "report.html")
    return smoke / "report.html"


def test_report_prints_the_captions_numbers(smoke, report):
    caption = (smoke / "results" / "smoke" / "mad" / "figures" / "r_factor.txt").read_text()
    number = re.search(r"\d\.\d+", caption)[0]
    assert number in report.read_text()


# Snakemake's own remarks, on its style sheet and its plots of runtimes
THEIRS = ("cdn.tailwindcss.com should not be used", "input spec uses Vega-Lite", "WARN Log scale domain")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def tour(report):
    """What a reader of the report sees in a browser without network, who clicks on everything once."""
    if CHROMIUM is None:
        pytest.skip("no chromium on the path: the report is not opened in a browser (apt install chromium)")
    head = "<head><script>var seen = {errors: [], results: []};</script>"
    script = (ROOT / "tests" / "report_tour.js").read_text()
    page = report.with_name("toured.html")
    page.write_text(f"{report.read_text().replace('<head>', head, 1)}<script>{script}</script>")
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-ipc-flooding-protection"]
    words += [f"--user-data-dir={report.parent / 'chromium'}"]
    words += ["--proxy-server=127.0.0.1:9", "--enable-logging=stderr", "--v=0", "--window-size=1600,1000"]
    words += ["--virtual-time-budget=3600000", "--dump-dom", page.as_uri()]
    done = subprocess.run([CHROMIUM, *words], capture_output=True, text=True, check=True)
    found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-3000:]
    console = [
        line for line in done.stderr.splitlines() if "CONSOLE" in line and not any(map(line.__contains__, THEIRS))
    ]
    return {**json.loads(html.unescape(found[1])), "console": console}


def test_the_report_opens_without_network_and_without_an_error(tour):
    assert (tour["errors"], tour["console"], tour["fetched"]) == ([], [], [])


def test_every_figure_shows_in_the_report_and_its_caption_has_numbers(smoke, tour):
    drawn = {str(path.relative_to(smoke)) for path in (smoke / "results" / "smoke").rglob("*.png")}
    shown = {one["path"]: one for one in tour["results"] if one["isImage"]}
    assert set(shown) == drawn
    for path, one in shown.items():
        assert (one["source"], one["width"] > 300) == ("data:", True), path
        caption = (smoke / path).with_suffix(".txt").read_text()
        assert re.search(r"\d", caption), path
        # a job draws several figures: each shows its own caption, whatever typography the report gives it
        assert [*filter(str.isalnum, one["caption"])] == [*filter(str.isalnum, caption)], path


def test_the_report_begins_with_checks_rule_graph_and_runtimes(smoke, tour):
    checks = json.loads((smoke / "results" / "smoke" / "overview.json").read_text())["checks"]
    own = [check for check in checks if not check["compared"]]
    assert f"{sum(check['passed'] for check in own)} of {len(own)} checks pass" in tour["landing"]
    assert {(check["study"], check["sample"]) for check in checks} == {
        (study.name, sample) for study in STUDIES for sample in planned_samples(smoke, study.name)
    }
    assert tour["graph"]["width"] > 100
    assert {"mad_simulate", "mad_fit", "mad_validate", "rocking_fit", "overview"} <= set(tour["graph"]["rules"])
    table = (smoke / "results" / "smoke" / "logs" / "runtimes.csv").read_text()
    rows = list(csv.DictReader(table.splitlines()))
    assert {row["rule"]: int(row["jobs"]) for row in rows}["mad_fit"] == len(planned_samples(smoke, "mad"))
    assert all(row["rule"] in tour["landing"] and float(row["seconds"]) > 0 for row in rows)
    pages = {one["path"]: one for one in tour["results"] if not one["isImage"]}
    assert set(pages) == {"results/smoke/overview.html", "results/smoke/logs/runtimes.html"}


def planned_samples(smoke, study):
    """Samples of the smoke run that have been scored."""
    return [path.parent.name for path in (smoke / "results" / "smoke" / study).glob("*/scores.json")]


def test_a_failing_job_names_its_log_and_the_log_says_why(smoke):
    (smoke / "broken.npz").write_bytes(b"not numpy")
    sample = {"path": ["broken.npz"], "element": "Ni", "edge": "K", "steps": ["fit"]}
    samples = {**NOTHING_ELSE, "p9": None, "broken": sample}
    places = {"studies": ["mad"], "results": "broken", "logs": "broken/logs"}
    words = overlay(smoke, {**places, "mad": {"samples": samples}})
    output = snakemake(smoke, *words, fails=True)
    log = "broken/logs/mad/broken/convert.log"
    assert log in output
    assert "broken.npz" in (smoke / log).read_text()
    assert not (smoke / "broken" / "mad" / "broken" / "stack.h5").exists()


# -- as a module of another project ------------------------------------------------------------------------------

MODULE = """
configfile: "config/config.yaml"


module madpipe:
    snakefile:
        "{snakefile}"
    config:
        config


use rule * from madpipe
"""


@pytest.fixture
def user(project, tmp_path):
    """A project of its own as snakedeploy writes it, which uses the workflow as a module."""
    (tmp_path / "workflow").mkdir()
    (tmp_path / "config").mkdir()
    (tmp_path / "workflow" / "Snakefile").write_text(MODULE.format(snakefile=project / "workflow" / "Snakefile"))
    (tmp_path / "run.npz").write_bytes(b"")
    measured = {"path": ["run.npz"], "element": "Ni", "edge": "K", "steps": ["fit"]}
    samples = {"mine": {"dimensions": 2, "grid": 16, "steps": ["fit"]}, "measured": measured}
    content = {"mad": {"samples": samples, "evaluate": {"sets": []}}}
    (tmp_path / "config" / "config.yaml").write_text(yaml.safe_dump(content))
    return tmp_path


def test_the_workflow_runs_as_a_module_with_a_configuration_of_its_own(project, user):
    output = dry_run(user)
    assert re.search(r"^mad_fit +2$", output, re.MULTILINE)
    assert str(user / "run.npz") in output
    assert "core_shell" not in output
    snakemake(user, "results/mad/mine/fit.h5", package=project)
    assert (user / "results" / "mad" / "mine" / "fit.h5").stat().st_size > 0
