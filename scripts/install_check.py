# SPDX-License-Identifier: GPL-2.0-or-later
"""make install and make uninstall: what is installed works where it lies,
and nothing of it stays."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from common import BUILD, ROOT, UserError
from guest_machine import BOOT_LIMIT_S, end_process
from install import FIRMWARE_DIR, MAN, NAME, install, place, plan, remove
from qmp import Qmp
from results import Results, case, need

PREFIX = "/opt/cxl"
# There before and after: a directory and a file of somebody else.
FOREIGN = "opt/cxl/share/man/man1/other.1"


def listing(top: Path) -> list[str]:
    """All that is below a directory."""
    return sorted(str(path.relative_to(top)) + "/" * path.is_dir()
                  for path in top.rglob("*"))


def output(*argv: "str | Path") -> str:
    """What a program prints; it must succeed."""
    done = subprocess.run([str(a) for a in argv], capture_output=True,
                          text=True, check=False)
    need(done.returncode == 0, f"status 0 of {argv[0]}, not "
         f"{done.returncode}: {done.stderr.strip()}")
    return done.stdout


def firmware_places(program: Path) -> list[str]:
    """Where an emulator looks for firmware."""
    return [os.path.normpath(path)
            for path in output(program, "-L", "help").split()]


# --- the tests -------------------------------------------------------------

def complete(top: Path) -> str:
    """The list of what is there is the list of what is planned."""
    root = place(PREFIX, str(top))
    names = {name for name, _ in plan()}
    there = {name.removeprefix("opt/cxl/") for name in listing(top)
             if not name.endswith("/")}
    there -= {f"lib/{NAME}/manifest", "share/man/man1/other.1"}
    need(there == names, f"nothing but {len(names)} files; differing: "
         + ", ".join(sorted(there ^ names)))
    programs = {"qemu-system-aarch64-cxl", "vfio-user-cxl", "cxl-domain"}
    programs |= {"cxl-map"} if (ROOT / "scripts/cxl-map").exists() else set()
    found = {path.name for path in (root / "bin").iterdir() if path.exists()}
    need(found == programs, f"{', '.join(sorted(programs))} in bin, and "
         "nothing that hides the system's QEMU")
    return f"{len(names)} files"


def emulator(top: Path) -> str:
    """The emulator starts, with firmware from where it was installed."""
    root = place(PREFIX, str(top))
    program = root / "bin/qemu-system-aarch64-cxl"
    places = firmware_places(program)
    need(str(root / FIRMWARE_DIR) in places and
         not any(str(BUILD / "out") in path for path in places),
         f"{root / FIRMWARE_DIR} among {places}, and nothing of the build")
    ours, theirs = socket.socketpair()
    proc = subprocess.Popen(
        [str(program), "-M", "virt,cxl=on,cxl-fmw.0.targets.0=cxl.1,"
         "cxl-fmw.0.size=4G", "-cpu", "max", "-S", "-nodefaults", "-display",
         "none", "-bios", "QEMU_EFI.fd",
         "-device", "pxb-cxl,id=cxl.1,bus=pcie.0,bus_nr=12",
         # Its option ROM is firmware too.
         "-device", "virtio-net-pci,bus=pcie.0",
         "-chardev", f"socket,id=qmp,fd={theirs.fileno()}",
         "-mon", "chardev=qmp,mode=control"],
        pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE)
    theirs.close()
    qmp = Qmp(ours)
    try:
        qmp.connect(BOOT_LIMIT_S)
        status = qmp.command("query-status")["status"]
        qmp.command("quit")
        proc.wait()
    except UserError as error:
        proc.kill()
        said = proc.communicate()[1].decode("utf-8", "replace")
        raise UserError(f"{error}: {said.strip()}") from None
    finally:
        end_process(proc)
        qmp.stream.close()
        ours.close()
    need(proc.returncode == 0, f"status 0, not {proc.returncode}")
    return f"firmware from {root / FIRMWARE_DIR}, {status}"


def moved(top: Path) -> str:
    """All of PREFIX can lie elsewhere."""
    old, new = top / "opt/cxl", top / "opt/moved"
    old.rename(new)
    try:
        program = new / "bin/qemu-system-aarch64-cxl"
        need(str(new / FIRMWARE_DIR) in firmware_places(program),
             f"{new / FIRMWARE_DIR}")
        domain = output(new / "bin/cxl-domain", "/run/a.sock=1G")
        need(f"<emulator>{program}</emulator>" in domain,
             f"{program} in the domain")
        output(new / "bin/vfio-user-cxl", "--version")
        if (new / "bin/cxl-map").exists():
            output(new / "bin/cxl-map", "--help")
    finally:
        new.rename(old)
    return "emulator, device and tools run"


def manuals(top: Path) -> str:
    """The manual pages tell every option, and are clean."""
    root = place(PREFIX, str(top))
    for page in sorted(MAN.glob("*.1")):
        text = page.read_text("utf-8").replace("\\", "")
        said = output(root / "bin" / page.stem, "--help")
        for option in sorted(set(re.findall(r"--[a-z-]+", said)) - {"--help"}):
            need(re.search(rf"{option}\b", text) is not None,
                 f"{option} in {page.relative_to(ROOT)}")
    return ""


def again(top: Path) -> str:
    """A second install replaces the first; a stranger's file is safe."""
    root = place(PREFIX, str(top))
    before = listing(top)
    install(root)
    need(listing(top) == before, "the same files")
    manifest = root / f"lib/{NAME}/manifest"
    text = manifest.read_text("utf-8")
    manifest.write_text(text.replace("bin/cxl-domain\n", ""), "utf-8")
    try:
        install(root)
    except UserError as error:
        need("was not installed from here" in str(error), "that it is said")
    else:
        raise UserError("expected: a file that is not ours is refused")
    finally:
        manifest.write_text(text, "utf-8")
    return ""


def gone(top: Path) -> str:
    """Nothing stays of what was installed, and all of what was not."""
    remove(place(PREFIX, str(top)))
    there = [name for name in listing(top) if not name.endswith("/")]
    need(there == [FOREIGN], f"{FOREIGN} alone, not {there}")
    need(len(listing(top)) == 1 + FOREIGN.count("/"),
         f"no empty directory: {listing(top)}")
    other = place("/usr", str(top / "new"))
    install(other)
    remove(other)
    need(not (top / "new").exists(), "a DESTDIR that was not there to be gone")
    return ""


TESTS: dict[str, Callable[[Path], str]] = {
    "what is installed": complete,
    "emulator starts": emulator,
    "moved elsewhere": moved,
    "manual pages": manuals,
    "install again": again,
    "uninstall": gone,
}


def check(results: Results) -> None:
    """Every test of this file, in a DESTDIR of its own."""
    BUILD.mkdir(exist_ok=True)
    top = Path(tempfile.mkdtemp(prefix="install-", dir=BUILD))
    try:
        foreign = top / FOREIGN
        foreign.parent.mkdir(parents=True)
        foreign.write_text("not ours\n", "utf-8")
        install(place(PREFIX, str(top)))
        for name, test in TESTS.items():
            with case(results, f"install/{name}") as notes:
                notes += filter(None, [test(top)])
    finally:
        shutil.rmtree(top, ignore_errors=True)
