# lib.sh: what the scripts of this folder share; sourced, never run.
# shellcheck shell=bash
set -euo pipefail

# shellcheck disable=SC2034 # for those that source this
WEIR_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
WEIR_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/weir
mkdir -p "$WEIR_CACHE"

# One line on standard error: standard output is for results.
say() { printf 'weir: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

jobs_max() {
    local cpus mem_gib
    cpus=$(nproc)
    mem_gib=$(awk '/^MemAvailable/ {print int($2 / 1048576)}' /proc/meminfo)
    # One C++ compiler may take a gibibyte; never fewer than one job.
    if [ "$mem_gib" -lt "$cpus" ]; then cpus=$((mem_gib > 0 ? mem_gib : 1)); fi
    echo "$cpus"
}

# Runs a long command with its output in a log: shows a sign of life every 10 seconds, and the end
# of the log when the command fails.   run_long <what it is> <log> <command...>
run_long() {
    local what=$1 log=$2 pid start told rc=0
    shift 2
    start=$SECONDS told=$SECONDS
    say "$what ..."
    "$@" >"$log" 2>&1 &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        # What ends at once is not waited for; what takes minutes is not looked at often.
        if [ "$SECONDS" -le $((start + 1)) ]; then sleep 0.05; else sleep 0.5; fi
        if [ "$SECONDS" -ge $((told + 10)) ]; then
            told=$SECONDS
            say "$what: $((SECONDS - start)) s, $(tail -c 400 "$log" | tr '\r' '\n' | grep -v '^ *$' | tail -n 1 | cut -c 1-90)"
        fi
    done
    wait "$pid" || rc=$?
    if [ "$rc" -ne 0 ]; then
        tail -n 30 "$log" >&2
        die "$what failed (status $rc); the whole output is in $log"
    fi
    say "$what: done in $((SECONDS - start)) s"
}

# Holds the named lock of the cache until this script ends.
lock_cache() {
    exec 9>"$WEIR_CACHE/.lock-$1"
    if ! flock -n 9; then
        say "another run is working on $1; waiting for it"
        flock 9
    fi
}

# The Python whose pip fetches: of a virtual environment in the cache, with a version of pip that
# goes on where a connection broke. Prints its path.
pip_version=25.3
pip_sha256=9655943313a94722b7774661c21049070f6bbb0a1516bf02f7c8d5d9201514cd
fetching_python() {
    local version venv
    version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    venv=$WEIR_CACHE/pip-$pip_version-$version
    if [ ! -d "$venv" ]; then
        rm -rf "$venv.build"
        python3 -m venv "$venv.build" >&2 || die "python3 -m venv failed: run scripts/setup first"
        "$venv.build/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
            --require-hashes --requirement /dev/stdin <<<"pip==$pip_version --hash=sha256:$pip_sha256" >&2
        mv "$venv.build" "$venv"
    fi
    echo "$venv/bin/python"
}

# Whether the system's Node is new enough for the web build (20.19, and npm 11 with it).
system_node_suits() {
    command -v node >/dev/null && command -v npm >/dev/null || return 1
    local node npm
    node=$(node --version)
    # npm takes half a second to tell its version; its package file tells it at once.
    npm=$(sed -n '/^  "version":/ {s/[^0-9.]//gp; q}' \
        "$(dirname "$(readlink -f "$(command -v npm)")")/../package.json" 2>/dev/null || npm --version)
    printf '%s\n' 20.19.0 "${node#v}" | sort -C -V && printf '%s\n' 11.0.0 "$npm" | sort -C -V
}

# The virtual environment that holds what tests/requirements.txt pins.
test_venv() {
    local version
    version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "$WEIR_CACHE/test-$version-$(sha256sum <"$WEIR_ROOT/tests/requirements.txt" | cut -c 1-12)"
}

# Configures a preset when it has not been, or when what it links from the cache has moved, and
# builds it.   build_preset <preset> [<target>...]
build_preset() {
    local preset=$1 dir=$WEIR_ROOT/build/$1 deps log name
    shift
    deps=$(for name in llhttp llama onnxruntime; do
        "$WEIR_ROOT/scripts/deps" --path "$name" || echo "$name is not there"
    done)
    mkdir -p "$WEIR_ROOT/build/log"
    log=$WEIR_ROOT/build/log/build-$preset.log
    if [ ! -f "$dir/build.ninja" ] || [ "$deps" != "$(cat "$dir/.deps" 2>/dev/null)" ]; then
        (cd "$WEIR_ROOT" && cmake --preset "$preset") >"$log" 2>&1 || {
            cat "$log" >&2
            die "configuring the preset $preset failed"
        }
        echo "$deps" >"$dir/.deps"
    fi
    if cmake --build "$dir" --target "${@:-all}" -- -n | grep -q 'no work to do'; then return; fi
    run_long "building the preset $preset" "$log" \
        cmake --build "$dir" --parallel "$(jobs_max)" --target "${@:-all}"
}
