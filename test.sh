#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later
#
# All the tests, or those of the labels named.  Installs what it needs, builds,
# prints the seconds of each label and ends with "N passed, N failed, N skipped".
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=tests/support/packages.sh
. tests/support/packages.sh

labels=(meta unit faults hostile fuzz model crash cli interop handler runner bench clang asan tsan vm)
long_labels=(vm-long fuzz-long model-long crash-long clean-root)
passed=0 failed=0 skipped=0

usage() {
    cat <<TEXT
Usage: ./test.sh [LABEL...]

Labels, all run by default:
  meta      arrows between the layers, style, scripts
  unit      each room by itself
  faults    failing I/O: the n-th operation of each kind, for each n
  hostile   images and folders made to harm
  fuzz      the fuzz targets, replaying their corpora
  model     random requests against a flat array
  crash     power cuts and deaths of the process, 220,000 crash images; each rule broken in turn
  cli       vhdctl
  interop   qemu-img and libvhdi beside us
  handler   handler_vhd.so, driven as tcmu-runner drives it; the plug-in ABI
  runner    that driver, with Debian's handler_qcow.so and with ours
  bench     a smoke run of tests/bench: what a request costs, counted
  clang     builds everything with clang
  asan      unit, faults, hostile, fuzz, model, crash, cli, handler, runner under address and undefined sanitizers
  tsan      unit, model, crash, handler under the thread sanitizer
  vm        the real tcmu-runner and kernel target in a virtual machine

By name only:
  long      ${long_labels[*]} (hours)
TEXT
}

configure_and_build() { # PRESET
    cmake --preset "$1" >"build/$1.log" 2>&1 && cmake --build --preset "$1" >>"build/$1.log" 2>&1 && return
    tail -50 "build/$1.log"
    echo "test.sh: the build with preset $1 failed" >&2
    return 1
}

# ctest's lines are the account: "... Passed", "***Failed", "***Skipped".
count_ctest() { # LOG
    local good bad left
    good=$(grep -cE ' Test +#[0-9]+: .* Passed ' "$1" || true)
    left=$(grep -cE ' Test +#[0-9]+: .*\*\*\*(Skipped|Not Run)' "$1" || true)
    bad=$(grep -cE ' Test +#[0-9]+: .*\*\*\*(Failed|Timeout|Exception)' "$1" || true)
    count "$good" "$bad" "$left"
}

count() { # PASSED FAILED SKIPPED
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

run_ctest() { # PRESET LABEL...
    local log pattern
    configure_and_build "$1" || { count 0 1 0; return; }
    log=$(mktemp)
    pattern="^($(IFS='|' && echo "${*:2}"))\$"
    ctest --test-dir "build/$1" -L "$pattern" --no-tests=error --output-on-failure -j2 |& tee "$log" || true
    if ! grep -q 'tests passed' "$log"; then
        echo "test.sh: no test has the label ${*:2}" >&2
        count 0 1 0
    fi
    count_ctest "$log"
    rm -f "$log"
}

run_vm() {
    local log good bad left status=0
    configure_and_build dev || { count 0 1 0; return; }
    log=$(mktemp)
    tests/vm/all --build build/dev 2>&1 | tee "$log" || status=$?
    good=$(grep -cE '^==== [^ ]+: PASS' "$log" || true)
    left=$(grep -cE '^==== [^ ]+: SKIP' "$log" || true)
    bad=$(grep -cE '^==== [^ ]+: FAIL' "$log" || true)
    # A machine that does not boot, or dies on the way, says nothing of the kind.
    case $status in
    0) ;;
    77) left=1 ;;
    *) [[ $bad -gt 0 ]] || bad=1 ;;
    esac
    count "$good" "$bad" "$left"
    rm -f "$log"
}

run_build() { # PRESET OPTION...
    local where=build/$1
    if cmake --preset dev -B "$where" "${@:2}" >"$where.log" 2>&1 &&
        cmake --build "$where" >>"$where.log" 2>&1; then
        count 1 0 0
    else
        tail -50 "$where.log"
        count 0 1 0
    fi
}

run_script() { # COMMAND...
    local status=0
    "$@" || status=$?
    case $status in
    0) count 1 0 0 ;;
    77) count 0 0 1 ;;
    *) count 0 1 0 ;;
    esac
}

run_label() { # LABEL
    case $1 in
    crash) run_ctest dev crash crash-mutants ;;
    meta | unit | faults | hostile | fuzz | model | cli | interop | handler | runner) run_ctest dev "$1" ;;
    bench) run_ctest release bench ;;
    clang) run_build clang -D CMAKE_C_COMPILER=clang ;;
    asan) FAULTS_STEP=25 CRASH_IMAGES=5000 run_ctest asan unit faults hostile fuzz model crash cli handler runner ;;
    # GLib recycles small pieces of memory where the sanitizer cannot see it.
    tsan) G_SLICE=always-malloc CRASH_IMAGES=3000 run_ctest tsan unit model crash handler ;;
    vm) run_vm ;;
    vm-long) VHD_VM_LONG=yes run_vm ;; # iSCSI, the examples, boots and conformance, too
    fuzz-long) run_script tests/fuzz/run 600 ;;
    model-long) MODEL_SECONDS=1800 run_ctest dev model ;;
    crash-long) CRASH_IMAGES=500000 CRASH_SEED=$(date +%s) run_ctest dev crash ;; # each of two
    clean-root) run_script tests/clean-root/run ;;
    *)
        echo "test.sh: no label is called '$1'; ./test.sh --help lists them" >&2
        exit 2
        ;;
    esac
}

if [[ ${1:-} == --help ]]; then
    usage
    exit
fi
if [[ ${1:-} == long ]]; then
    set -- "${labels[@]}" "${long_labels[@]}"
fi
[[ $# -gt 0 ]] || set -- "${labels[@]}"

install_packages build test vm
mkdir -p build
times=()
for label in "$@"; do
    echo "== $label"
    started=$SECONDS before=$failed
    run_label "$label"
    [[ $failed -eq $before ]] && verdict=ok || verdict=FAILED
    times+=("$(printf '%-10s %4d s  %s' "$label" $((SECONDS - started)) "$verdict")")
done
echo "== seconds by label"
printf '%s\n' "${times[@]}"
# Nothing may be left out unseen where everything can run.
if [[ ${CI:-} == true && $skipped -gt 0 ]]; then
    echo "test.sh: $skipped skipped in CI count as failed" >&2
    failed=$((failed + skipped))
fi
echo "$passed passed, $failed failed, $skipped skipped"
[[ $failed -eq 0 && $passed -gt 0 ]]
