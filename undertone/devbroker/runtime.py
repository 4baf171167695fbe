"""What runs a local Kafka on this machine: Java with the jars that Maven fetches, or Docker where that is missing."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import UserError
from undertone.devbroker.die_with_parent import tethered

KAFKA_VERSION = "4.3.0"
IMAGE = f"apache/kafka:{KAFKA_VERSION}"
POM = Path(__file__).with_name("pom.xml")
MIN_JAVA = 17
HEAP = "-Xmx512m"  # enough for a few hundred streams; the JVM's default would be a quarter of the machine
DEBIAN_PACKAGES = "apt-get install openjdk-17-jre-headless maven"

Say = Callable[[str], None]


@dataclass(frozen=True)
class JavaRuntime:
    """Kafka from its jars."""

    java: str
    jars: Path

    def command(self, properties: Mapping[str, str], data_dir: Path, keep: bool) -> list[str]:
        """The command that runs the broker; formats `data_dir` the first time. `keep` means nothing here.

        Raises:
            UserError: the data directory cannot be formatted.
        """
        config = data_dir / "server.properties"
        properties = {**properties, "log.dirs": str(data_dir / "log")}
        config.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        if not (data_dir / "log" / "meta.properties").exists():
            self._format(config)
        return tethered([*self._java(), "kafka.Kafka", str(config)])

    def _java(self) -> list[str]:
        quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        return [self.java, HEAP, "-XX:+ExitOnOutOfMemoryError", quiet, "-cp", f"{self.jars}/*"]

    def _format(self, config: Path) -> None:
        # Kafka ids are 16 bytes in base64; a fixed one will do, for the cluster has this one node.
        cluster = ["--cluster-id", "dW5kZXJ0b25lLWxvY2FsMQ"]
        done = subprocess.run(
            [*self._java(), "kafka.tools.StorageTool", "format", *cluster, "--config", str(config)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            reason = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
            raise UserError(f"the local Kafka could not format {config.parent}: {reason}")


@dataclass(frozen=True)
class DockerRuntime:
    """Kafka from the official image. The data lie in a volume named after the data directory."""

    def command(self, properties: Mapping[str, str], data_dir: Path, keep: bool) -> list[str]:
        """The command that runs the broker in the foreground. At its end the container goes; the data unless `keep`."""
        port = properties["advertised.listeners"].rpartition(":")[2]
        # A volume without a name goes with its container.
        volume = f"undertone-{hashlib.sha256(str(data_dir).encode()).hexdigest()[:16]}:" if keep else ""
        command = ["docker", "run", "--rm", f"--publish=127.0.0.1:{port}:{port}"]
        command += [f"--volume={volume}/var/lib/kafka/data"]
        command += [f"--env={name}={value}" for name, value in container_environment(properties).items()]
        # Docker's client passes SIGTERM on to the container; SIGKILL would leave it running.
        return tethered([*command, IMAGE], at_death=signal.SIGTERM)


Runtime = JavaRuntime | DockerRuntime


def container_environment(properties: Mapping[str, str]) -> dict[str, str]:
    """`properties` as the variables from which Kafka's official image makes its configuration."""
    inside = dict(properties)
    # Inside the container it must listen on the container's own address; Docker binds 127.0.0.1 outside.
    inside["listeners"] = properties["listeners"].replace("PLAINTEXT://127.0.0.1", "PLAINTEXT://0.0.0.0")
    inside["log.dirs"] = "/var/lib/kafka/data"
    variables = {f"KAFKA_{key.replace('.', '_').upper()}": value for key, value in inside.items()}
    return variables | {"KAFKA_HEAP_OPTS": HEAP}


def find_runtime(say: Say) -> Runtime:
    """Java and Kafka's jars (fetched once), else Docker and Kafka's image (pulled once).

    Raises:
        UserError: there is neither, or the download fails; the line says what to install.
    """
    try:
        java = _find_java()
        return JavaRuntime(java, _jars(say))
    except UserError as no_java:
        if not _docker_runs():
            raise UserError(f"{no_java}; or start Docker, or set UNDERTONE_BOOTSTRAP_SERVERS to a Kafka") from None
        say(f"{no_java}: using Docker")
    return _pulled(say)


def _find_java() -> str:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if java is None:
        where = f"in JAVA_HOME={home}" if home else "on the PATH"
        raise UserError(f"no Java {where} (Debian: {DEBIAN_PACKAGES})")
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    # `version "1.8.0_392"` is Java 8, `version "17.0.15"` is Java 17.
    match = re.search(r'version "(?:1\.)?(\d+)', told.stderr + told.stdout)
    if match is None:
        raise UserError(f"{java} does not run: {(told.stderr or told.stdout).strip().splitlines()[:1]}")
    if int(match[1]) < MIN_JAVA:
        raise UserError(f"{java} is Java {match[1]}; Kafka needs {MIN_JAVA} or newer (Debian: {DEBIAN_PACKAGES})")
    return java


def cache_dir() -> Path:
    """Where the jars stay: UNDERTONE_HOME, else `.kafka` in a clone, else the user's cache directory."""
    if home := os.environ.get("UNDERTONE_HOME"):
        return Path(home)
    clone = Path(__file__).parents[2]
    if (clone / "pyproject.toml").exists():
        return clone / ".kafka"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "undertone"


def _jars(say: Say) -> Path:
    # The name changes with the list of jars, so a newer pom.xml never runs with older jars.
    target = cache_dir() / f"kafka-{KAFKA_VERSION}-{hashlib.sha256(POM.read_bytes()).hexdigest()[:8]}"
    if target.is_dir():
        return target
    maven = shutil.which("mvn")
    if maven is None:
        raise UserError("no Maven (mvn) to fetch Kafka with (Debian: apt-get install maven)")
    say(f"fetching Kafka {KAFKA_VERSION} with Maven: 44 MB, once")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Renamed when complete: a broken download, or a second process that downloads too, leaves no half cache.
        with tempfile.TemporaryDirectory(dir=target.parent, prefix="fetching-") as fetched:
            _fetch(maven, Path(fetched))
            if not target.is_dir():
                (Path(fetched) / "jars").rename(target)
    except OSError as exc:
        raise UserError(f"cannot keep Kafka's jars in {target.parent}: {exc.strerror}; set UNDERTONE_HOME") from exc
    return target


def _fetch(maven: str, into: Path) -> None:
    shutil.copy(POM, into)
    # --strict-checksums: a damaged jar fails here and not somewhere inside the broker.
    quietly = [maven, "--batch-mode", "--quiet", "--strict-checksums", "--file", str(into / POM.name)]
    copy = ["dependency:copy-dependencies", f"-DoutputDirectory={into / 'jars'}", "-DincludeScope=runtime"]
    done = subprocess.run([*quietly, *copy], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line] or ["no reason given"]
        reason = re.sub(r"\x1b\[[0-9;]*m|\[ERROR\]", "", lines[0]).strip()
        raise UserError(f"Maven could not fetch Kafka: {reason[:300]}")


def _docker_runs() -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        done = subprocess.run(["docker", "version"], capture_output=True, timeout=15, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _pulled(say: Say) -> DockerRuntime:
    if subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, check=False).returncode:
        say(f"pulling {IMAGE}")
        done = subprocess.run(["docker", "pull", "--quiet", IMAGE], capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
            raise UserError(f"Docker could not pull {IMAGE}: {reason[:300]}")
    return DockerRuntime()
