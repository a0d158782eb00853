# SPDX-License-Identifier: GPL-2.0-or-later
"""Judge what guest and host saw, one row of the table per rule."""

import json
from typing import Any

import guest_accel
from guest_facts import WORD, Facts, Row, judged, range_text
from guest_machine import BRIDGE_BUS, MIB256, size_text


# The drivers as people know them.
OWNERS = {"sfc": "in-tree driver sfc",
          "cxl_accel": "out-of-tree driver cxl_accel"}

# --- placement -------------------------------------------------------------

def window(facts: Facts) -> Row:
    base, size = facts.number("window.0.base"), facts.number("window.0.size")
    targets = facts.report.get("window.0.targets", "none")
    return judged("window", f"{range_text(base, size)}, target host bridge "
                f"{targets}", [
                    (facts.number("windows") == 1, "exactly one window"),
                    (base > 0 and base % MIB256 == 0,
                     "a base that is a multiple of 256 MiB and not 0"),
                    (size == facts.setup.window,
                     f"size {size_text(facts.setup.window)}"),
                    (targets == str(BRIDGE_BUS),
                     f"target {BRIDGE_BUS} alone")])


def _decoder(facts: Facts, name: str, key: str) -> Row:
    base, size = facts.number(f"{key}.0.base"), facts.number(f"{key}.0.size")
    flags = {"committed": facts.number(f"{key}.0.committed"),
             "locked": facts.number(f"{key}.0.locked"),
             "enabled": facts.number(f"{key}.global_enable")}
    want = facts.number("window.0.base")
    seen = range_text(base, size) + "".join(
        f", {'' if value == 1 else 'not '}{flag}"
        for flag, value in flags.items())
    rules = [(base == want and size == facts.setup.hdm,
              range_text(want, facts.setup.hdm))]
    for flag, value in flags.items():
        # Only QEMU locks what it commits.
        on = flag != "locked" or facts.setup.commit == "firmware"
        rules.append((value == on, flag if on else f"not {flag}"))
    return judged(name, seen, rules)


def bridge_decoder(facts: Facts) -> Row:
    return _decoder(facts, "host bridge decoder", "bridge.0")


def endpoint_decoder(facts: Facts) -> Row:
    row = _decoder(facts, "endpoint decoder", "endpoint")
    count = facts.number("endpoint.decoders")
    if count != 1:
        row.expected = "; ".join(filter(None, [
            row.expected, f"1 decoder, not {count}"]))
    return row


def dvsec_range(facts: Facts) -> Row:
    base = facts.number("dvsec.range1.base")
    size = facts.number("dvsec.range1.size")
    valid = facts.number("dvsec.range1.valid")
    # What the guest commits is not reflected there.
    want = (facts.number("window.0.base")
            if facts.setup.commit == "firmware" else 0)
    return judged("DVSEC range 1", range_text(base, size)
                + (", valid" if valid == 1 else ", not valid"), [
                    (base == want and size == facts.setup.hdm,
                     range_text(want, facts.setup.hdm)),
                    (valid == 1, "valid")])


def host_address(facts: Facts) -> Row:
    """The host's base must be nowhere in what the guest could read."""
    base = int(facts.summary.get("host_base", 0))
    name = "host's own address"
    if not base:
        return Row(name, "not told by the server", "host_base in its summary")
    if base == facts.number("window.0.base"):
        return Row(name, f"{base:#x} is the guest's base too",
                   "a device whose host base differs from the window's")
    found = [line for line in facts.text if f"{base:x}" in line.lower()]
    if not found and _in_registers(facts.text, base):
        found = ["in two registers side by side"]
    seen = "nowhere in what the guest read"
    if found:
        seen = f"{base:#x} seen: {found[0][:60]}"
    return judged(name, seen, [(not found, "nowhere in the guest")])


def _in_registers(lines: list[str], base: int) -> bool:
    """Whether config space or component registers hold the base.

    It would be split over two neighbouring dwords, in either order, with
    flags in the low 28 bits.
    """
    config, component = b"", []
    for line in lines:
        words = line.split()
        if line.startswith("CONFIG ") and len(words) == 3:
            config += bytes.fromhex(words[2])
        elif line.startswith("COMPONENT ") and len(words) == 3:
            component.append(int(words[2], 16))
    dwords = [int.from_bytes(config[i:i + 4], "little")
              for i in range(0, len(config) - 3, 4)] + component
    halves = base >> 32, base & 0xf0000000
    return any((one, two & 0xf0000000) == halves
               or (two, one & 0xf0000000) == halves
               for one, two in zip(dwords, dwords[1:]))


# --- the guest's own view --------------------------------------------------

def _region_name(facts: Facts) -> str:
    names = sorted({key.split(".")[1] for key in facts.report
                    if key.startswith("region.")})
    return names[0] if len(names) == 1 else ",".join(names)


def region(facts: Facts) -> Row:
    name = _region_name(facts)
    if not facts.driven:
        return judged("region in the guest",
                    name or "none, without a driver",
                    [(not name, "no region")])
    base = facts.number(f"region.{name}.resource")
    size = facts.number(f"region.{name}.size")
    commit = facts.number(f"region.{name}.commit")
    driver = facts.report.get(f"region.{name}.driver", "none")
    want = facts.number("window.0.base")
    kinds = [facts.report.get(f"decoder.decoder{port}.0.target_type")
             for port in (1, 2)]
    return judged("region in the guest",
                f"{name or 'none'}: {range_text(base, size)}, "
                f"commit={commit}, driver {driver}", [
                    (name == "region0", "region0"),
                    (base == want and size == facts.setup.hdm,
                     range_text(want, facts.setup.hdm)),
                    (commit == 1, "commit=1"),
                    (driver == "cxl_region", "driver cxl_region"),
                    (kinds == ["accelerator"] * 2,
                     "decoders of type accelerator, not "
                     + ", ".join(kind or "none" for kind in kinds))])


def cxl_list(facts: Facts) -> Row:
    """The region and the memory device as the cxl tool tells them."""
    try:
        found = json.loads("\n".join(facts.cxl_list))
    except ValueError:
        tail = facts.cxl_list[-1] if facts.cxl_list else "nothing"
        return Row("cxl list", tail[:60], "JSON")
    base = facts.number("window.0.base")
    regions = list(_objects(found, "region"))
    memdevs = list(_objects(found, "memdev"))
    roots = [d for d in _objects(found, "decoder")
             if d["decoder"].startswith("decoder0.")
             and d.get("resource") == base
             and d.get("size") == facts.setup.window]
    seen = [f"{d['decoder']} {size_text(d['size'])}" for d in roots]
    seen += [f"{m['memdev']} on {m.get('host', '?')}" for m in memdevs]
    seen += [f"{r['region']} at {r.get('resource', 0):#x} "
             f"{size_text(r.get('size', 0))}" for r in regions]
    rules = [(len(roots) == 1, "a root decoder for the window")]
    if facts.driven:
        rules += [
            (len(memdevs) == 1
             and memdevs[0].get("host") == facts.report.get("address"),
             f"one memdev on {facts.report.get('address')}"),
            (len(regions) == 1 and regions[0].get("resource") == base
             and regions[0].get("size") == facts.setup.hdm,
             f"one region, {range_text(base, facts.setup.hdm)}")]
    else:
        rules.append((not memdevs and not regions, "no memdev, no region"))
    return judged("cxl list", ", ".join(seen) or "nothing", rules)


def _objects(value: Any, kind: str) -> list[dict[str, Any]]:
    """All objects of a kind, anywhere in the tool's JSON, once each."""
    found: dict[str, dict[str, Any]] = {}

    def visit(item: Any) -> None:
        if isinstance(item, list):
            for part in item:
                visit(part)
        elif isinstance(item, dict):
            if isinstance(item.get(kind), str):
                found.setdefault(item[kind], item)
            for part in item.values():
                visit(part)

    visit(value)
    return list(found.values())


def driver(facts: Facts) -> Row:
    name = facts.report.get("driver", "none")
    address = facts.report.get("address", "none")
    want = facts.setup.driver
    seen = f"{address}: {OWNERS.get(name, name)}"
    if name == "none" and facts.driver_says:
        seen += f": {facts.driver_says[0]}"
    if not facts.driven:
        return judged("owner in the guest", seen, [(name == "none", "none")])
    parents = [value for key, value in facts.report.items()
               if key.startswith("memdev.") and key.endswith(".parent")]
    return judged("owner in the guest", seen, [
        (name == want, want),
        (parents == [address], f"a memdev below {address}")])


def iomem(facts: Facts) -> Row:
    """The window, and the region in it, in the guest's /proc/iomem."""
    base = facts.number("window.0.base")
    lines = [line.strip() for line in facts.iomem
             if line.strip().startswith(f"{base:x}-")]
    wants = [(facts.setup.window, "CXL Window 0")]
    if facts.driven:
        wants.append((facts.setup.hdm, "region0"))
    rules = [(any(line == f"{base:x}-{base + size - 1:x} : {name}"
                  for line in lines),
              f"{base:x}-{base + size - 1:x} : {name}")
             for size, name in wants]
    names = [line.partition(" : ")[2] for line in lines]
    return judged("/proc/iomem", " > ".join(names) or "no CXL window", rules)


# --- memory ----------------------------------------------------------------

def _memory(facts: Facts, name: str, wrong: str) -> Row:
    seen = "; ".join(f"{part.words} words ({part.describe(facts.setup.hdm)})"
                     for part in facts.parts)
    return Row(name, wrong or f"{seen}; no difference",
               "no difference" if wrong else "")


def guest_to_host(facts: Facts) -> Row:
    row = _memory(facts, "guest writes, host reads", facts.guest_to_host)
    samples = sum(part.words for part in facts.parts if part.stride != WORD)
    # Whole pages come into being, for a little more than each sample.
    limit = samples * 4096 * 2
    if samples and facts.allocated > limit and not row.expected:
        row.expected = (f"at most {size_text(limit)} of backing memory, "
                        f"{facts.allocated} bytes exist")
    return row


def host_to_guest(facts: Facts) -> Row:
    return _memory(facts, "host writes, guest reads", facts.host_to_guest)


def trapped(facts: Facts) -> Row:
    region_counts = facts.summary.get("regions", {}).get("hdm", {})
    server = (int(region_counts.get("reads", -1))
              + int(region_counts.get("writes", -1)))
    by_server = (f"server {server}, " if facts.setup.device == "reference"
                 else "")
    if facts.qemu_hdm < 0:
        return Row("HDM accesses that trapped", "not counted: no range",
                   "QEMU 0, server 0")
    return judged("HDM accesses that trapped",
                f"QEMU {facts.qemu_hdm}, {by_server}writing again "
                f"{facts.rewrites} (traced meanwhile: {facts.qemu_other} "
                "register accesses)", [
                    (facts.qemu_hdm == 0, "QEMU 0"),
                    (server == 0 or not by_server, "server 0"),
                    (facts.rewrites == 0, "writing again 0"),
                    # Without any line the trace itself would not work.
                    (facts.qemu_other > 0, "a trace that sees accesses"),
                    (not facts.trace_missing, "trace events "
                     + ", ".join(facts.trace_missing))])


def boot(facts: Facts) -> Row:
    uptime = facts.report.get("uptime", "?")
    return Row("boot time", f"{facts.boot_s:.1f} s from QEMU's start to init, "
               f"{uptime} s of it in the kernel")


def iommu(facts: Facts) -> Row:
    """The guest's kernel has the device's DMA translated."""
    kind = facts.report.get("iommu.type", "none")
    return judged("IOMMU", f"{facts.setup.iommu}, the device's group has "
                  f"type {kind}", [(kind in ("DMA", "DMA-FQ"),
                                    "type DMA or DMA-FQ")])


ROWS = (window, bridge_decoder, endpoint_decoder, dvsec_range, host_address,
        driver, region, cxl_list, iomem, guest_to_host, host_to_guest,
        trapped, boot)


def judge(facts: Facts) -> list[Row]:
    """All rows of the table."""
    # An emulated device has no address but the guest's.
    rows = [row for row in ROWS
            if row is not host_address or facts.setup.device == "reference"]
    more = [iommu(facts)] if facts.setup.iommu != "none" else []
    return [make(facts) for make in rows] + more + guest_accel.rows(facts)
