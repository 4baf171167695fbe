"""The set-up script on machines that lack something: one line that says what to do, and a failure."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

SETUP = ROOT / "scripts" / "setup.sh"
TOOLS = ("bash", "env", "cat", "dirname", "sed", "sha256sum", "timeout", "id", "rm")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """The PATH folder of a machine with a shell, apt-get and nothing else, used by somebody who is not root."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool) or f"/usr/bin/{tool}")
    _install(folder, "id", "echo 1000")
    _install(folder, "apt-get", "echo apt-get must not run >&2; exit 99")
    _install(folder, "apt-cache", "echo '  Candidate: 17.0.15+6-1~deb12u1'")
    return folder


def _install(folder: Path, name: str, script: str) -> None:
    (folder / name).unlink(missing_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def _setup(machine: Path, kind: str = "runtime", **environment: str) -> str:
    """Run the script; returns what it says before it fails."""
    done = subprocess.run(
        [str(SETUP), kind],
        env={"PATH": str(machine), "HOME": str(machine), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stderr.strip()


def test_no_python(machine: Path) -> None:
    assert _setup(machine) == "setup: please run: sudo apt-get install -y python3 python3-venv"


def test_no_apt_get(machine: Path) -> None:
    (machine / "apt-get").unlink()
    assert _setup(machine).startswith("setup: please install these, or what your system calls them: python3")


def test_a_python_without_venv(machine: Path) -> None:
    _install(machine, "python3", f'case "$2" in *ensurepip*) exit 1;; esac; exec {sys.executable} "$@"')
    major, minor = sys.version_info[:2]
    assert _setup(machine) == f"setup: please run: sudo apt-get install -y python{major}.{minor}-venv"


def test_an_old_python(machine: Path) -> None:
    _install(
        machine, "python3", '[ "$1" = --version ] && echo Python 3.9.2; case "$2" in *version_info*) exit 1;; esac'
    )
    assert _setup(machine) == (
        "setup: Python 3.9.2 is too old: Undertone needs Python 3.11 or newer (or set PYTHON=/path/to/python3.11)"
    )


def test_no_java_and_no_maven(machine: Path) -> None:
    assert _setup(machine, PYTHON=sys.executable) == (
        "setup: please run: sudo apt-get install -y openjdk-17-jre-headless maven"
    )


def test_a_debian_without_java_17_gets_its_own(machine: Path) -> None:
    _install(machine, "apt-cache", "echo '  Candidate: (none)'")
    assert "default-jre-headless maven" in _setup(machine, PYTHON=sys.executable)


def test_an_old_java(machine: Path) -> None:
    _install(machine, "java", "echo 'openjdk version \"11.0.21\" 2023-10-17' >&2")
    _install(machine, "mvn", "exit 0")
    assert _setup(machine, PYTHON=sys.executable).endswith("apt-get install -y openjdk-17-jre-headless")


def test_docker_will_do_for_the_demo_but_not_for_the_tests(machine: Path) -> None:
    _install(machine, "docker", "exit 0")
    assert "openjdk" in _setup(machine, kind="dev", PYTHON=sys.executable)


def test_a_kind_that_does_not_exist(machine: Path) -> None:
    known = "runtime|console|analysis|trainer|dev|peers"
    assert _setup(machine, kind="everything") == f"setup: unknown kind everything: {known}"


@pytest.fixture
def clone(tmp_path: Path, machine: Path) -> Path:
    """A clone on a machine with all it needs, whose Python and pip only note what they are asked for."""
    folder = tmp_path / "clone"
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    shutil.copytree(ROOT / "requirements", folder / "requirements")
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / ".venv" / "bin").mkdir(parents=True)
    python = f'case "$*" in *version_info*|*ensurepip*) exec {sys.executable} "$@";; esac; echo "$@" >>{folder}/asked'
    _install(folder / ".venv" / "bin", "python", python)
    _install(machine, "python3", f'[ "$1" = --version ] && exec {sys.executable} --version; {python}')
    _install(machine, "java", "echo 'openjdk version \"17.0.1\" 2021-10-19' >&2")
    _install(machine, "mvn", "exit 0")
    return folder


def _asked(clone: Path, machine: Path, kind: str) -> str:
    """What setting up this kind asks Python for, Kafka's jars left out."""
    (clone / "asked").write_text("")
    subprocess.run([clone / "scripts" / "setup.sh", kind], env={"PATH": str(machine)}, capture_output=True, check=True)
    return "".join(line for line in (clone / "asked").open() if line != "-\n")


def test_each_kind_is_installed_once_and_holds_the_smaller_ones(clone: Path, machine: Path) -> None:
    runtime = _asked(clone, machine, "runtime")
    assert "--require-hashes -r requirements/build.lock -r requirements/runtime.lock" in runtime
    assert "librosa" not in runtime, "nothing is compiled that the demo does not need"
    assert not _asked(clone, machine, "runtime")
    trainer = _asked(clone, machine, "trainer")
    assert "-r requirements/trainer.lock" in trainer
    assert "import librosa" in trainer
    for kind in ("trainer", "analysis", "console", "runtime"):
        assert not _asked(clone, machine, kind)
    assert "-r requirements/dev.lock" in _asked(clone, machine, "dev")


def test_ci_installs_what_is_missing_after_renewing_the_lists(clone: Path, machine: Path) -> None:
    shutil.copytree(ROOT / ".ci", clone / ".ci")
    for program in ("promtool", "ffmpeg", "sipp", "pg_ctlcluster"):
        _install(machine, program, "exit 0")
    _install(machine, "apt-get", f'echo "apt-get $@" >>{clone}/asked; ln -sf {clone}/make {machine}/make')
    _install(clone, "make", f'echo "make $@" >>{clone}/asked')
    (machine / "ln").symlink_to(shutil.which("ln") or "/usr/bin/ln")
    subprocess.run([clone / ".ci" / "run"], env={"PATH": str(machine)}, check=True)
    assert (clone / "asked").read_text().splitlines() == [
        "apt-get update -qq",
        "apt-get install -y -qq --no-install-recommends make chromium"
        " gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good",
        "make lint",
        "make test",
    ]


def test_make_help_names_every_target() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, env=dict(os.environ))
    for target in ("install", "install-trainer", "demo", "test", "test-fast", "lint"):
        assert f"make {target} " in done.stdout


@pytest.mark.parametrize("target", ["test", "test-fast"])
def test_tests_run_in_two_processes_unless_arguments_say_otherwise(target: str) -> None:
    command = ["make", "--dry-run", target, "ARGS=-n 0 -k worker"]
    # Not as a part of the `make test` that runs this test: that has arguments of its own, and says where it is.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=environment)
    words = done.stdout.splitlines()[-1].split("-m pytest")[1].split()
    assert words[:4] == ["-n", "2", "--dist", "loadfile"]  # a file shares what is dear to make
    assert words[-4:] == ["-n", "0", "-k", "worker"]
