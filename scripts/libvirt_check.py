# SPDX-License-Identifier: GPL-2.0-or-later
"""The libvirt examples and what makes them, scripts/cxl-domain: they are
valid, they are rendered as they should be, and guests start from them."""

import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common import BUILD, LOGS, ROOT, UserError
from guest_facts import parse_report
from guest_image import INITRAMFS, VMLINUZ, make_image
from guest_machine import (BOOT_LIMIT_S, Server, Setup, end_process, run_dir,
                           run_lock)
from guest_options import parse_size
from libvirt_private import Console, Libvirt
from results import Results, case, need, run_in_order

GENERATOR = ROOT / "scripts/cxl-domain"
EXAMPLES = ROOT / "docs/examples/libvirt"
QEMU = BUILD / "qemu-system-aarch64"
SERVER = BUILD / "vfio-user-cxl"
# What makes an example one that starts on this machine.
HERE = ("--accel", "tcg", "--emulator", str(QEMU), "--disk", "",
        "--memory", "1G", "--cpus", "1", "--session")
GUEST_OPTIONS = "console=ttyAMA0 rdinit=/init iomem=relaxed quiet loglevel=3"
# Lines of a domain in which that one differs.
HERE_LINES = re.compile(r"<(?:domain type|description|emulator|cpu|memory|"
                        r"vcpu)\b")
NO_HARDWARE = "not started: there is no CXL device here"
DESTROY_LIMIT_S = 20.0

# What must be refused, and words of the one line that says why.
REFUSALS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "no device": ((), ("DEVICE", "--help")),
    "no size": (("0000:01:00.0",), ("no HDM size", "--hdm SIZE")),
    "size without unit": (("0000:01:00.0=64",), ("'64'", "M, G or T")),
    "size of no decoder": (("0000:01:00.0=300M",), ("300M", "256M")),
    "size zero": (("0000:01:00.0=0G",), ("above 0", "256M")),
    "relative socket": (("cxl.sock=1G",), ("'cxl.sock'", "absolute path")),
    "no PCI address": (("0000:01:40.0=1G",), ("0000:01:40.0", "PCI address")),
    "second function": (("0000:01:00.1=1G",), ("function 1", "function 0")),
    "long socket": (("/" + "s" * 107 + "=1G",), ("108 bytes", "107")),
    "device twice": (("01:00.0=1G", "0000:01:00.0=1G"), ("named twice",)),
    "five below a bridge": (
        (*(f"/s{i}=1G" for i in range(5)), "--shared-bridge"),
        ("5 devices", "4 decoders", "--shared-bridge")),
    "17 bridges": (tuple(f"/s{i}=1G" for i in range(17)), ("17 devices",
                                                           "16")),
    "too much HDM": (("/s0=100T", "/s1=100T"), ("200T", "128T")),
    "iommufd without VFIO": (("/s0=1G", "--iommufd"), ("--iommufd",
                                                       "sockets")),
    "accelerator": (("/s0=1G", "--accel", "hvf"), ("'hvf'", "kvm or tcg")),
    "CPUs": (("/s0=1G", "--cpus", "none"), ("none CPUs", "512")),
    "memory": (("/s0=1G", "--memory", "4"), ("memory '4'",)),
    "name": (("/s0=1G", "--name", "a b"), ("'a b'", "letters")),
    "relative disk": (("/s0=1G", "--disk", "d.qcow2"), ("disk d.qcow2",
                                                        "absolute")),
    "relative QMP socket": (("/s0=1G", "--qmp", "q.sock"), (
        "QMP socket q.sock", "absolute")),
    "BAR": (("/s0=1G", "--bar", "big"), ("BAR size 'big'",)),
    "unknown option": (("/s0=1G", "--bridge"), ("--bridge", "--help")),
}

# How windows, ports, and what must be reserved follow from the devices.
PLANS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "window in whole GiB": (
        ("/s0=256M", "/s1=1280M"),
        ("cxl-fmw.0.size=1G", "cxl-fmw.1.size=2G")),
    "bridge with four ports": (
        ("/s0=1G", "/s1=2G", "/s2=3G", "/s3=4G", "--shared-bridge"),
        ("cxl=on,cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size=10G\"",
         "bus=cxl.1,port=0,", "bus=cxl.1,port=3,")),
    "16 bridges": (
        tuple(f"/s{i}=1G" for i in range(16)),
        ("id=cxl.1,bus=pcie.0,addr=0x10,bus_nr=128",
         "id=cxl.16,bus=pcie.0,addr=0x1f,bus_nr=248")),
    "room for BARs": (
        ("01:00.0=64G", "02:00.0=64G", "--bar", "200G"),
        ("highmem-mmio-size=1T", "pref64-reserve=256G")),
    "second monitor": (
        ("/s0=1G", "--qmp", "/run/q,1.sock"),
        ('<qemu:arg value="-qmp"/>',
         '"unix:/run/q,,1.sock,server=on,wait=off"')),
    "memlock": (
        ("01:00.0=64G", "--memory", "16G"),
        # 16 GiB, 64 GiB, 1 GiB and 256 MiB
        (f">{(16 + 64 + 1) * 1048576 + 262144}</hard_limit>",)),
}


def generate(*arguments: str) -> str:
    """What the generator prints."""
    done = subprocess.run([str(GENERATOR), *arguments], capture_output=True,
                          text=True, check=False)
    if done.returncode:
        raise UserError(f"cxl-domain {shlex.join(arguments)}: "
                        f"{done.stderr.strip()}")
    return done.stdout


def version() -> str:
    """libvirt's, as virsh tells it."""
    return subprocess.run(["virsh", "--version"], capture_output=True,
                          text=True, check=False).stdout.strip()


def request(example: Path) -> list[str]:
    """The arguments that an example says it was printed with."""
    match = re.search(r"<description>printed by: cxl-domain (.*)"
                      r"</description>", example.read_text(encoding="utf-8"))
    if not match:
        raise UserError(f"{example.name} does not say what printed it")
    return shlex.split(match[1])


def qemu_args(xml: str) -> list[str]:
    """The values of a domain's qemu:arg elements."""
    return [value.replace("&quot;", '"').replace("&amp;", "&") for _, value
            in re.findall(r"<qemu:arg value=(['\"])(.*)\1/>", xml)]


# --- the generator ---------------------------------------------------------

def check_generator(results: Results) -> None:
    """What is refused, and what follows from what is asked for."""
    for name, (arguments, words) in REFUSALS.items():
        with case(results, f"libvirt/cxl-domain refuses: {name}") as notes:
            done = subprocess.run([str(GENERATOR), *arguments], check=False,
                                  capture_output=True, text=True)
            lines = done.stderr.strip().splitlines()
            need(done.returncode == 1 and not done.stdout,
                 "status 1 and no output")
            need(len(lines) == 1, f"one line, not {lines}")
            for word in words:
                need(word in lines[0], f"'{word}' in '{lines[0]}'")
            notes.append(lines[0].removeprefix("error: "))
    for name, (arguments, words) in PLANS.items():
        with case(results, f"libvirt/cxl-domain plans: {name}"):
            xml = generate(*arguments)
            for word in words:
                need(word in xml, f"'{word}' in the domain")


# --- the examples ----------------------------------------------------------

def check_example(results: Results, libvirt: Libvirt, example: Path,
                  where: Path) -> None:
    """One example, without starting it."""
    name = example.name
    with case(results, f"libvirt/{name} is what cxl-domain prints"):
        need(generate(*request(example))
             == example.read_text(encoding="utf-8"),
             f"the output of cxl-domain {shlex.join(request(example))}")
    with case(results, f"libvirt/{name} fits the schema"):
        done = subprocess.run(["virt-xml-validate", str(example), "domain"],
                              capture_output=True, text=True, check=False)
        need(done.returncode == 0, "no complaint, not "
             + (done.stdout + done.stderr).strip())
    xml = generate(*request(example), *HERE)
    path = where / name
    path.write_text(xml, encoding="utf-8")
    with case(results, f"libvirt/{name} differs from one for this machine in "
              "nothing but emulator, disk, RAM, processor and <memtune>"):
        need(_essence(xml) == _essence(example.read_text(encoding="utf-8")),
             "the same lines otherwise")
    with case(results, f"libvirt/{name} is defined, and rendered") as notes:
        libvirt.run(f"define --validate {path}")
        argv = libvirt.run(f"domxml-to-native qemu-argv --xml {path}")
        words = shlex.split(argv)
        want = qemu_args(xml)
        need(bool(want) and any(words[i:i + len(want)] == want
                                for i in range(len(words))),
             f"in this order: {shlex.join(want)}")
        domain = re.search(r"<name>(.*)</name>", xml)
        libvirt.run(f"undefine {domain[1] if domain else ''} --nvram")
        if "vfio-pci," in xml:
            notes.append(NO_HARDWARE)


def _essence(xml: str) -> list[str]:
    for part in (r"<disk .*?</disk>", r"<!-- memlock.*?</memtune>"):
        xml = re.sub(r"\n *" + part, "", xml, flags=re.DOTALL)
    return [line for line in xml.splitlines()
            if not HERE_LINES.search(line)]


# --- guests ----------------------------------------------------------------

@contextmanager
def servers(arguments: list[str], identity: str,
            where: Path) -> Iterator[list[str]]:
    """Reference devices for the sockets that a request names; gives the
    request with the sockets that they really have."""
    started: list[Server] = []
    result = []
    try:
        for argument in arguments:
            if argument.startswith("/run/"):
                size = argument.rpartition("=")[2]
                place = where / f"device{len(started)}"
                place.mkdir()
                server = Server(
                    Setup(QEMU, SERVER, parse_size(size), identity), place,
                    f"libvirt-{len(started)}")
                started.append(server)
                argument = f"{server.socket}={size}"
            result.append(argument)
        yield result
    finally:
        for server in started:
            server.close()


def committed(lines: list[str], regions: int) -> str:
    """The guest's regions as its report tells them; wrong ones are an
    error."""
    facts = parse_report(lines)
    seen = []
    for number in range(regions):
        key = f"region.region{number}"
        need(facts.get(f"{key}.commit") == "1"
             and facts.get(f"{key}.driver") == "cxl_region",
             f"region{number} committed, the report has "
             + (", ".join(f"{k}={v}" for k, v in facts.items()
                          if k.startswith("region.")) or "no region"))
        seen.append(f"region{number} at {facts[f'{key}.resource']}, size "
                    f"{facts[f'{key}.size']}, committed")
    return ", ".join(seen)


def _from_kernel(where: Path, driver: str) -> list[str]:
    """Options with which the guest boots our image; it has a disk too."""
    disk = where / "disk.img"
    disk.write_bytes(bytes(1 << 20))
    return ["--disk", str(disk), "--kernel", str(VMLINUZ), str(INITRAMFS),
            f"{GUEST_OPTIONS} driver={driver}"]


def check_guest(results: Results, example: Path, identity: str,
                driver: str) -> None:
    """Start an example, and do to it what an operator does."""
    with run_dir(False) as where, \
            servers(request(example), identity, where) as arguments:
        xml = generate(*arguments, *HERE, *_from_kernel(where, driver))
        libvirt = Libvirt(where)
        try:
            _operate(results, libvirt, example.stem, xml, where)
        finally:
            libvirt.close()


def _operate(results: Results, libvirt: Libvirt, stem: str, xml: str,
             where: Path) -> None:
    regions = xml.count("vfio-user-pci")
    found = re.search(r"<name>(.*)</name>", xml)
    assert found
    name = found[1]
    path = where / "domain.xml"
    path.write_text(xml, encoding="utf-8")
    console = None

    def start(notes: list[str]) -> None:
        nonlocal console
        libvirt.run(f"define --validate {path}")
        libvirt.run(f"start {name} --paused")
        console = Console(libvirt.run(f"ttyconsole {name}"),
                          LOGS / f"libvirt-{stem}-console.log")
        notes.append(f"libvirt {version()}, session mode")

    def boot(notes: list[str]) -> None:
        libvirt.run(f"resume {name}")
        report(notes)

    def report(notes: list[str]) -> None:
        assert console
        console.lines_until("=== begin report ===", BOOT_LIMIT_S)
        lines = console.lines_until("=== end report ===", BOOT_LIMIT_S)
        notes.append(committed(lines, regions))

    def reset(notes: list[str]) -> None:
        libvirt.run(f"reset {name}")
        report(notes)

    def monitor(notes: list[str]) -> None:
        answer = libvirt.run(f"qemu-monitor-command {name} "
                             "'{\"execute\":\"query-status\"}'")
        need('"status":"running"' in answer, f"running, not {answer}")
        known = libvirt.run(f"qemu-monitor-command {name} "
                            "'{\"execute\":\"query-commands\"}'")
        notes.append("query-status: running")
        if '"x-query-cxl"' in known:
            answer = libvirt.run(f"qemu-monitor-command {name} "
                                 "'{\"execute\":\"x-query-cxl\"}'")
            need(answer.startswith('{"return":'), f"an answer, not {answer}")
            notes.append("x-query-cxl answers")

    def destroy(notes: list[str]) -> None:
        pid = libvirt.pid(name)
        libvirt.run(f"destroy {name}")
        libvirt.run(f"undefine {name} --nvram")
        end = time.monotonic() + DESTROY_LIMIT_S
        while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
            time.sleep(0.1)
        need(not Path(f"/proc/{pid}").exists(), "QEMU to be gone")
        need(not libvirt.run("list --all"), "no domain")
        notes.append("nothing is left")

    steps = {"start": start, "guest": boot, "reset": reset,
             "qemu-monitor-command": monitor, "destroy": destroy}
    try:
        run_in_order(results, f"libvirt/{stem}.xml:", steps)
    finally:
        if console:
            console.close()


def check_command(results: Results, example: Path) -> None:
    """QEMU's own command line, as the generator prints it, starts too."""
    log = LOGS / "libvirt-command.log"
    with case(results, "libvirt/cxl-domain --command: guest") as notes, \
            run_dir(False) as where, \
            servers(request(example), "sfc", where) as arguments:
        script = where / "start.sh"
        script.write_text(
            generate(*arguments, *HERE, *_from_kernel(where, "sfc"),
                     "--command", "--bar", "300G"), encoding="utf-8")
        with log.open("wb") as out:
            proc = subprocess.Popen(["sh", str(script)], stdout=out,
                                    stdin=subprocess.DEVNULL,
                                    stderr=subprocess.STDOUT,
                                    start_new_session=True)
        try:
            notes.append(committed(_report_in(log, proc), 1))
        finally:
            end_process(proc)
    with case(results, "libvirt/cxl-domain --command: kernel VFIO") as notes:
        text = generate("01:00.0=64G", "--iommufd", "--command")
        with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
            file.write(text)
            file.flush()
            done = subprocess.run(["sh", "-n", file.name], check=False)
        need(done.returncode == 0, "a shell script")
        for word in ("ulimit -l ", "iommufd,id=iommufd0", "host=0000:01:00.0"):
            need(word in text, f"'{word}'")
        notes.append(NO_HARDWARE)


def _report_in(log: Path, proc: "subprocess.Popen[bytes]") -> list[str]:
    """The guest's report, once it is in a log."""
    end = time.monotonic() + BOOT_LIMIT_S
    while time.monotonic() < end:
        lines = [line.strip() for line in log.read_text(
            encoding="utf-8", errors="replace").splitlines()]
        if "=== end report ===" in lines:
            return lines
        if proc.poll() is not None:
            raise UserError(f"QEMU ended with status {proc.returncode}: "
                            + " / ".join(lines[-3:]))
        time.sleep(0.2)
    raise UserError(f"no report after {BOOT_LIMIT_S:.0f} s; log: {log}")


# --- all -------------------------------------------------------------------

def check(results: Results) -> None:
    """Every test of this file."""
    check_generator(results)
    make_image()
    LOGS.mkdir(parents=True, exist_ok=True)
    with run_lock():
        with run_dir(False) as where:
            libvirt = Libvirt(where)
            try:
                for example in sorted(EXAMPLES.glob("*.xml")):
                    check_example(results, libvirt, example, where)
            finally:
                libvirt.close()
        check_guest(results, EXAMPLES / "vfio-user-one.xml", "sfc", "sfc")
        check_guest(results, EXAMPLES / "vfio-user-two.xml", "accel",
                    "cxl_accel")
        check_command(results, EXAMPLES / "vfio-user-one.xml")
