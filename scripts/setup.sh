#!/usr/bin/env bash
# Prepares this clone: `setup.sh runtime` for the services, `console` for the demo with its page, `analysis` for HTML
# reports too, `trainer` for train and compare, `dev` for tests and checks. Each kind holds the ones before it. `peers`
# is a venv beside it, for the systems that `make bench` measures and whose packages do not go with ours.
#
# Each step looks first and does nothing where nothing is missing. System packages are installed by apt-get where
# this runs as root on Debian or Ubuntu; elsewhere the line to run is printed and the script ends with 1.
set -euo pipefail
cd "$(dirname "$0")/.."

kinds=(runtime console analysis trainer dev)
usage=$(IFS='|' && echo "${kinds[*]}|peers")
kind=${1:?usage: scripts/setup.sh $usage}
venv=$PWD/.venv
if [ "$kind" = peers ]; then kinds=(peers) venv=$PWD/.venv-peers; fi
python=${PYTHON:-python3}

fail() { echo "setup: $*" >&2; exit 1; }

is_root_on_debian() { command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; }

update_package_lists() {
  [ -z "${lists_updated:-}" ] || return 0
  lists_updated=yes
  echo "setup: apt-get update"
  apt-get update -qq || fail "apt-get update does not work: see its message above"
}

# install_system PACKAGE...: install them, or say how to.
install_system() {
  command -v apt-get >/dev/null || fail "please install these, or what your system calls them: $*"
  is_root_on_debian || fail "please run: sudo apt-get install -y $*"
  echo "setup: installing $*"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null ||
    fail "apt-get could not install $*: see its message above"
}

has_python() { command -v "$python" >/dev/null; }
has_venv() { "$python" -c 'import ensurepip, venv' 2>/dev/null; }

check_python() {
  if ! has_python || ! has_venv; then
    ! is_root_on_debian || update_package_lists
    has_python || install_system python3 python3-venv
  fi
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version) is too old: Undertone needs Python 3.11 or newer (or set PYTHON=/path/to/python3.11)"
  has_venv || install_system "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
}

# Everything that decides what .venv holds. The path is part of it: scripts in a venv name their folder.
fingerprint() {
  { echo "$venv" && "$python" --version && cat pyproject.toml requirements/build.lock "requirements/$1.lock"; } | sha256sum
}

is_installed() { [ "$(cat "$venv/installed-$1" 2>/dev/null)" = "$(fingerprint "$1")" ]; }

# This kind, or one that holds it.
is_ready() {
  local one wanted=
  for one in "${kinds[@]}"; do
    [ "$one" != "$kind" ] || wanted=yes
    [ -z "$wanted" ] || ! is_installed "$one" || return 0
  done
  return 1
}

# By these two, for librosa loads its parts when they are asked for. Here, for two processes of the tests that compile
# them at once damage the cache that they share: each later process that calls one ends with a segmentation fault.
compile_librosa() {
  echo "setup: letting librosa compile its functions"  # when it is first loaded: 19 s of CPU, once
  "$venv/bin/python" -c 'import librosa.util.utils, librosa.core.pitch'
}

install_packages() {
  ! is_ready || return 0
  # A venv from another path or another Python cannot be mended.
  [ "$("$venv/bin/python" -c 'import sys; print(sys.prefix, *sys.version_info[:2])' 2>/dev/null)" = \
    "$venv $("$python" -c 'import sys; print(*sys.version_info[:2])')" ] || "$python" -m venv --clear "$venv"
  echo "setup: installing Python packages into .venv (requirements/$kind.lock)"
  local pip=("$venv/bin/python" -m pip --disable-pip-version-check install --progress-bar on)
  # Without compiling, 7 s of the demo's 14: Python compiles what is imported when it first is, which is little of it.
  "${pip[@]}" --no-compile --require-hashes -r requirements/build.lock -r "requirements/$kind.lock" ||
    fail "pip could not install requirements/$kind.lock: see its message above"
  # Without isolation it is built by the setuptools just installed, and not by one that nobody has checked.
  "${pip[@]}" --quiet --no-build-isolation --no-deps --editable .
  [[ "$kind" != trainer && "$kind" != dev ]] || compile_librosa
  rm -f "$venv"/installed-*
  fingerprint "$kind" >"$venv/installed-$kind"
}

java_version() { java -version 2>&1 | sed -nE 's/.* version "(1\.)?([0-9]+).*/\2/p'; }
has_java() { command -v java >/dev/null && [ "$(java_version)" -ge 17 ] 2>/dev/null; }
has_docker() { command -v docker >/dev/null && timeout 15 docker version >/dev/null 2>&1; }

uses_own_kafka() { [ -n "${UNDERTONE_BOOTSTRAP_SERVERS:-${KAFKA_BOOTSTRAP_SERVERS:-}}" ]; }

# Kafka comes as jars through Maven. Docker will do for the demo; the tests also kill the broker's process.
check_java() {
  [ "$kind" != dev ] && uses_own_kafka && return
  has_java && command -v mvn >/dev/null && return
  [ "$kind" != dev ] && has_docker && return
  ! is_root_on_debian || update_package_lists
  local java=openjdk-17-jre-headless missing=()
  # Debian 13 has no Java 17; its default is newer.
  [[ "$(LC_ALL=C apt-cache policy "$java")" == *"Candidate: "[0-9]* ]] || java=default-jre-headless
  has_java || missing+=("$java")
  command -v mvn >/dev/null || missing+=(maven)
  install_system "${missing[@]}"
}

fetch_kafka() {
  "$venv/bin/python" - <<'PY'
import sys
from undertone.devbroker.runtime import find_runtime
from schemas.errors import UserError

try:
    find_runtime(lambda line: print("setup:", line))
except UserError as error:
    sys.exit(f"setup: {error}")
PY
}

[[ " ${kinds[*]} " == *" $kind "* ]] || fail "unknown kind $kind: $usage"
check_python
check_java
install_packages
uses_own_kafka || fetch_kafka
