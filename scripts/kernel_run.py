#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Pass the emulated CXL Type-2 device through to a nested guest by a real
kernel: VFIO, iommufd, SMMUv3 and KVM of a Debian arm64 machine that our
emulator emulates.

Without arguments all stages run, and the last line counts the tests.
"""

import argparse
import subprocess
import time
from collections.abc import Callable

import kernel_faults
import kernel_guest
import kernel_image
import kernel_numbers
from build import build
from common import LOGS, UserError, run_main
from guest_facts import Row
from guest_machine import end_process, run_dir, run_lock
from guest_run import Steps
from kernel_guest import ADDRESS
from kernel_machine import Guest, Host, device_memory, host_args
from progress import elapsed_text, log_tail
from results import Results, read_tap

CHECK_LIMIT_S = 600.0


class Run:
    """What the stages share."""

    def __init__(self, host: Host, results: Results, steps: Steps) -> None:
        self.host = host
        self.results = results
        self.steps = steps

    def show(self, stage: str, rows: list[Row]) -> None:
        """Count rows as tests."""
        for row in rows:
            name = f"{stage} {row.name}: {row.seen}"
            if row.expected:
                self.results.failed(name, f"expected: {row.expected}")
            else:
                self.results.passed(name)


def stage_host(run: Run) -> None:
    """The machine in the middle has what the others need."""
    host = run.host
    group = host.run(f"readlink /sys/bus/pci/devices/{ADDRESS}/iommu_group")
    run.show("host", [
        Row("KVM", host.run("dmesg | grep -i 'VHE mode'").text,
            "" if host.run("[ -c /dev/kvm ]").status == 0 else "/dev/kvm"),
        Row("IOMMU group", group.text,
            "" if group.status == 0 else "a group, by the SMMUv3")])


def attach(run: Run, modules: str) -> None:
    """Load a set of modules, and bind the device to our driver."""
    host = run.host
    host.check("unload_vfio")
    host.check(f"load_vfio {modules}")
    host.check(f"bind_device {ADDRESS}")
    said = host.run("dmesg | grep 'vfio_cxl_test.*CXL' | tail -n 1").text
    run.show(modules, [Row("driver", said, "" if "of HDM" in said
                           else "'CXL: ... of HDM' in the kernel's log")])


def run_tap(run: Run, modules: str, command: str) -> None:
    """Run a program in the host machine that tells its results as TAP."""
    name = command.partition(" ")[0]
    run.steps.say(command)
    answer = run.host.run(command, CHECK_LIMIT_S)
    log = LOGS / f"kernel-{name}-{modules}.log"
    log.write_text(answer.text + "\n", encoding="utf-8")
    read_tap(run.results, f"{modules} {name}", answer.text, answer.status,
             log)


def check_kernel(run: Run, modules: str) -> None:
    """The kernel's side of the contract, and the way of the DMA."""
    cdev = modules == "iommufd"
    run_tap(run, modules, f"vfio-cxl-check {'--cdev' if cdev else '--group'}"
            f" --all {ADDRESS}")
    run_tap(run, modules,
            f"dma-check {ADDRESS} {'iommufd' if cdev else 'group'}")


def use(run: Run, modules: str, thorough: bool) -> None:
    """The device in a guest, from first boot to SIGKILL and again."""
    host, steps = run.host, run.steps
    plan = kernel_guest.plan(modules == "iommufd")
    steps.say(f"{modules}: start the nested guest")
    guest = Guest(host, plan)
    try:
        run.show(modules, kernel_guest.table(host, guest, steps))
        if thorough:
            run.show(modules, [kernel_guest.reset_row(host, guest)])
            steps.say("reboot the guest")
            guest.order("sh reboot -f")
            run.show(f"{modules} after a reboot",
                     kernel_guest.short_rows(host, guest, steps))
            guest.power_off()
    finally:
        guest.close()
    if thorough:
        for what in ("in a second boot", "after SIGKILL"):
            steps.say(f"start the nested guest again: {what}")
            guest = Guest(host, plan)
            try:
                run.show(f"{modules} {what}",
                         kernel_guest.short_rows(host, guest, steps))
                status = guest.kill()
                run.show(modules, [Row("SIGKILL", f"status {status}",
                                       "" if status == 137 else "137")])
            finally:
                guest.close()


def stage_iommufd(run: Run) -> None:
    """By iommufd and the device's own character device."""
    attach(run, "iommufd")
    check_kernel(run, "iommufd")
    use(run, "iommufd", True)


def stage_stock(run: Run) -> None:
    """By group and container, with Debian's own modules."""
    attach(run, "stock")
    check_kernel(run, "stock")
    run.show("stock", [kernel_faults.refused(
        run.host, "no iommufd in the kernel", kernel_guest.plan(True),
        "vfio-dev|/dev/iommu")])
    use(run, "stock", False)


def stage_faults(run: Run) -> None:
    """What goes wrong, and who says what."""
    attach(run, "iommufd")
    run.steps.say("faults at QEMU's start")
    for row in kernel_faults.at_start(run.host):
        run.show("faults", [row])
    for row in kernel_faults.in_guest(run.host, run.steps):
        run.show("faults", [row])


def stage_numbers(run: Run) -> None:
    """How fast the memory is, and what the device costs at boot."""
    attach(run, "iommufd")
    run.steps.say("bandwidth")
    run.show("numbers", kernel_numbers.bandwidth(run.host, run.steps))
    run.show("numbers", kernel_numbers.boot(run.host, run.steps))


STAGES: dict[str, Callable[[Run], None]] = {
    "host": stage_host,
    "iommufd": stage_iommufd,
    "faults": stage_faults,
    "stock": stage_stock,
    "numbers": stage_numbers,
}
# What make check runs of them: figures are no test.
TESTS = [name for name in STAGES if name != "numbers"]


def run_stages(results: Results, names: list[str]) -> None:
    """Run stages in one host machine; one that fails does not stop it."""
    build()
    kernel_image.make()
    steps = Steps()
    with run_lock(), run_dir(False) as where:
        steps.say("start the host machine")
        host = Host(where)
        try:
            steps.say(f"it was up after {elapsed_text(host.boot_s)}")
            run = Run(host, results, steps)
            for name in names:
                begin = time.monotonic()
                try:
                    STAGES[name](run)
                except UserError as error:
                    results.failed(f"{name} stage", str(error))
                    results.failed(f"{name} stage: the host's kernel",
                                   log_tail(host.machine.console_log))
                steps.say(f"stage {name} took "
                          f"{elapsed_text(time.monotonic() - begin)}")
        finally:
            host.close()


def run_shell() -> int:
    """The host machine on this terminal."""
    build()
    kernel_image.make()
    with run_dir(False) as where, device_memory() as memory:
        print("Leave the machine with 'exit', or end QEMU with Ctrl-A X.",
              flush=True)
        proc = subprocess.Popen(host_args(where, memory, ["quiet", "shell"])
                                + ["-serial", "mon:stdio"])
        try:
            return proc.wait()
        finally:
            end_process(proc)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", nargs="*", help=", ".join(STAGES))
    parser.add_argument("--shell", action="store_true",
                        help="the host machine on this terminal")
    options = parser.parse_args()
    for name in options.stage:
        if name not in STAGES:
            raise UserError(f"no stage '{name}': there are "
                            f"{', '.join(STAGES)}")
    if options.shell:
        return run_shell()
    results = Results()
    run_stages(results, options.stage or list(STAGES))
    print(results.summary(), flush=True)
    return 0 if results.good() else 1


if __name__ == "__main__":
    run_main(main)
