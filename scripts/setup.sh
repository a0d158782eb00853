#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Install the Debian packages that this project builds and runs with.
# This is the one thing that runs before Python is known to be there, and
# the only thing that changes the system: it installs packages, no more.
# When all of them are there it ends at once.
#
# usage: setup.sh [fuzz|deb]    also what that make target needs
set -eu

# Each line: what the packages are for.
packages="
$(: base tools)            python3 python3-venv git make patch perl
$(: apt and unpacking)     debian-archive-keyring xz-utils bzip2 zstd cpio
$(: the compiler)          gcc libc6-dev pkg-config ninja-build ccache
$(: libraries of QEMU)     libglib2.0-dev libpixman-1-dev libfdt-dev zlib1g-dev
$(: generated sources)     flex bison
$(: ACPI tables)           acpica-tools
$(: firmware)             device-tree-compiler qemu-efi-aarch64 ipxe-qemu seabios
$(: the guest)             gcc-aarch64-linux-gnu libc6-dev-arm64-cross kmod
$(: checks)                shellcheck pyflakes3
$(: libvirt, no daemon)    libvirt-clients libvirt-daemon-driver-qemu libxml2-utils
$(: the manual)            python3-sphinx python3-sphinx-rtd-theme
"
# Only who fuzzes needs a second compiler.
packages_fuzz="clang libclang-rt-dev"
# Only who tries the Debian package takes it apart.
packages_deb="dpkg-dev quilt"

fail()
{
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Prints the packages that are not installed.
missing_packages()
{
    # shellcheck disable=SC2086 # a list of words
    dpkg-query -W -f '${Package} ${db:Status-Status}\n' $packages \
        2>/dev/null | awk '$2 == "installed" { print $1 }' |
        sort -u >"$scratch"
    # shellcheck disable=SC2086
    printf '%s\n' $packages | sort -u | comm -23 - "$scratch"
}

# How to become root: empty when we are, else the program that does it.
as_root()
{
    if [ "$(id -u)" -eq 0 ]; then
        echo env
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        echo sudo
    elif command -v sudo >/dev/null && [ -t 0 ] && [ -t 2 ]; then
        echo sudo
    fi
}

# Runs a command with its output in the log, and says how long it takes.
shown()
{
    title=$1
    shift
    "$@" >"$logs/setup.log" 2>&1 </dev/null &
    child=$!
    seconds=0
    while kill -0 "$child" 2>/dev/null; do
        sleep 1
        seconds=$((seconds + 1))
        if [ $((seconds % 15)) -eq 0 ]; then
            echo "$title ... $seconds s" >&2
        fi
    done
    status=0
    wait "$child" || status=$?
    child=
    return "$status"
}

install_packages()
{
    root=$(as_root)
    [ -n "$root" ] ||
        fail "packages are missing and neither root nor sudo is at hand;" \
             "install them: apt-get install --no-install-recommends $*"
    mkdir -p "$logs"
    echo "install packages: $*" >&2
    if [ "$root" = sudo ]; then
        # Asks for the password here, where it can be answered.
        sudo -v || fail "sudo refused; install: $*"
    fi
    for step in update "install -y --no-install-recommends $*"; do
        # shellcheck disable=SC2086 # the step's words
        shown "apt-get ${step%% *}" \
            "$root" env DEBIAN_FRONTEND=noninteractive LC_ALL=C \
            apt-get -q -o APT::Update::Error-Mode=any \
            -o DPkg::Lock::Timeout=300 $step || failed_step "$step" "$@"
    done
    echo "install packages: done" >&2
}

failed_step()
{
    step=$1
    shift
    tail -n 20 "$logs/setup.log" >&2
    case $step in
    update)
        # One broken third-party list must not stop us when the packages
        # can be had all the same.
        echo "note: apt-get update reported the above; going on" >&2
        return 0
        ;;
    esac
    fail "cannot install $* (full log: $logs/setup.log)"
}

case ${1:-} in
'') ;;
fuzz) packages="$packages $packages_fuzz" ;;
deb) packages="$packages $packages_deb" ;;
*) fail "setup.sh: cannot set up '$1': there are 'fuzz' and 'deb'" ;;
esac

command -v dpkg-query >/dev/null ||
    fail "this needs Debian 12 or 13: there is no dpkg here"
here=$(cd "$(dirname "$0")/.." && pwd)
logs=$here/build/log
scratch=$(mktemp)
trap 'rm -f "$scratch"' EXIT
child=
trap '[ -z "$child" ] || kill "$child"; exit 130' INT
trap '[ -z "$child" ] || kill "$child"; exit 143' TERM

missing=$(missing_packages | tr '\n' ' ')
if [ -n "$missing" ]; then
    # shellcheck disable=SC2086
    install_packages ${missing% }
    missing=$(missing_packages | tr '\n' ' ')
    [ -z "$missing" ] || fail "still not installed: $missing"
fi
