# SPDX-License-Identifier: GPL-2.0-or-later
"""A small Debian system in a directory, to run another release's tools in.

It is made of packages that are only unpacked: what compilers and their
friends need beyond that (/dev/null, awk's name) is put there by hand. So
it needs no debootstrap, every package comes from the cache by its SHA-256,
and a user who is not root can make it too. Programs run in it with chroot,
as root; other users get there with a user namespace.
"""

import contextlib
import os
import re
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from cache import cached, copy_whole, load_answer, save_answer, store
from common import UserError, atomic_dir, need_space
from debian import ANSWER_DAYS, PrivateApt, unpack_deb
from progress import log_tail

# Of these every system is made; base-files comes first, because it brings
# the links that make /bin the same as /usr/bin.
BASE_PACKAGES = ("base-files", "bash", "coreutils", "dash", "diffutils",
                 "findutils", "grep", "mawk", "perl-base", "sed")
DEVICES = {"null": (1, 3), "zero": (1, 5)}
# Enter $1 with a mount namespace of its own.
ENTER_MOUNTED = """
for node in null zero; do
    [ -e "$1/dev/$node" ] || : >"$1/dev/$node"
    mount --bind "/dev/$node" "$1/dev/$node"
done
exec chroot "$@"
"""

Versions = dict[str, str]


def solve(apt: PrivateApt, wanted: Sequence[str]) -> Versions:
    """All packages that `wanted` needs, without those only recommended."""
    key = f"solve|{apt.sources}|{' '.join(wanted)}"
    known = None if os.environ.get("FRESH") else load_answer(key, ANSWER_DAYS)
    if known:
        return known
    try:
        apt.update()
    except UserError:
        known = load_answer(key, None)
        if known is None or os.environ.get("FRESH"):
            raise
        return known
    text = apt.query(["apt-get", "--simulate", "--yes",
                      "--no-install-recommends", "install", *wanted])
    found = dict(re.findall(r"^Inst (\S+) \((\S+) ", text, re.MULTILINE))
    if not found:
        faults = re.findall(r"^(?:E:| \S+ : Depends:) *(.*)$", text,
                            re.MULTILINE)
        raise UserError(f"apt cannot put {', '.join(wanted[-3:])} together: "
                        + (faults[0] if faults else "no reason given")
                        + "; set FRESH=1 to look for newer packages")
    save_answer(key, found)
    return found


def fetch_all(apt: PrivateApt, packages: Versions, dest: Path) -> list[Path]:
    """Bring packages (name, or name:arch, to version) into `dest`.

    Those that the cache lacks are fetched with one call of apt-get.
    """
    records = {name: apt.show(name, version)
               for name, version in packages.items()}
    missing = [name for name, record in records.items()
               if cached(record["SHA256"]) is None]
    if missing:
        size = sum(int(records[name]["Size"]) for name in missing)
        need_space(apt.root, (size >> 19) + 16, "fetching packages")
        with tempfile.TemporaryDirectory(dir=apt.root) as temp:
            apt.fetch(f"fetch {len(missing)} packages",
                      [f"{name}={packages[name]}" for name in missing],
                      Path(temp), size)
            fetched = {path.name.split("_")[0]: path
                       for path in Path(temp).glob("*.deb")}
            for name in missing:
                path = fetched.get(name.partition(":")[0])
                if path is None:
                    raise UserError(f"apt-get download gave no {name} "
                                    f"{packages[name]}")
                store(path, records[name]["SHA256"])
    result = []
    for record in records.values():
        path = dest / Path(record["Filename"]).name
        kept = cached(record["SHA256"])
        if kept is None:
            raise UserError(f"{path.name} vanished from the download cache: "
                            "try again")
        copy_whole(kept, path)
        result.append(path)
    return result


def make_root(apt: PrivateApt, packages: Versions, dest: Path) -> None:
    """Unpack packages, those of `BASE_PACKAGES` among them, as a system."""
    need_space(dest, 1200, "a system to compile the guest's driver in")
    with tempfile.TemporaryDirectory(dir=apt.root) as temp:
        debs = fetch_all(apt, packages, Path(temp))
        debs.sort(key=lambda path: not path.name.startswith("base-files_"))
        with atomic_dir(dest) as root:
            for deb in debs:
                unpack_deb(deb, root)
            (root / "usr/bin/awk").symlink_to("mawk")
            for name, (major, minor) in DEVICES.items():
                # Without the right to do it, a mount takes its place.
                with contextlib.suppress(PermissionError):
                    os.mknod(root / "dev" / name, stat.S_IFCHR | 0o666,
                             os.makedev(major, minor))
                    os.chmod(root / "dev" / name, 0o666)


def _ways(root: Path) -> Iterator[list[str]]:
    mounted = ["sh", "-ec", ENTER_MOUNTED, "sh", str(root)]
    if os.geteuid() == 0:
        if all((root / "dev" / name).is_char_device() for name in DEVICES):
            yield ["chroot", str(root)]
        yield ["unshare", "--mount", *mounted]
    yield ["unshare", "--map-root-user", "--mount", *mounted]


def entering(root: Path, log: Path) -> list[str]:
    """The words in front of a command that run it inside of `root`.

    log: where the reasons go when there is no way in
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as out:
        for way in _ways(root):
            out.write("$ " + way[0] + "\n")
            out.flush()
            # The devices must be devices: a mount option can forbid them.
            done = subprocess.run(
                [*way, "/bin/sh", "-c",
                 "echo >/dev/null && : $(head -c 1 /dev/zero | wc -c)"],
                stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, check=False)
            if done.returncode == 0:
                return way
    reason = log_tail(log, 1).strip()
    raise UserError(f"cannot run programs inside of {root}: {reason}; do it "
                    "as root, or allow user namespaces (sysctl "
                    "kernel.unprivileged_userns_clone=1)")
