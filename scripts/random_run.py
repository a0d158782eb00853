#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the randomised qtest for as long as wanted: a guest that does anything,
compared after each step with a model of what it must see."""

import argparse
import os
import re
import subprocess

from build import OUT, build
from common import UserError, run_main

PROGRAM = "tests/qtest/vfio-cxl-random-test"
CASES = 2
SEED = re.compile(r"R02S[0-9a-f]{32}")
TELL = re.compile(r"^# (random seed: \S+|\d+ steps)$|^(ok|not ok|Bail out!) .*")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--seed", metavar="R02S...",
                        help="what an earlier run printed")
    args = parser.parse_args()
    if args.seconds < CASES:
        raise UserError(f"RANDOM_SECONDS={args.seconds} must be at least "
                        f"{CASES}: there are {CASES} cases")
    if args.seed and not SEED.fullmatch(args.seed):
        raise UserError(f"SEED={args.seed} must be R02S and 32 hexadecimal "
                        "digits, as a run prints it")
    build(tests=True)
    env = {**os.environ,
           "QTEST_QEMU_BINARY": "./qemu-system-aarch64",
           "VFIO_CXL_RANDOM_SECONDS": str(args.seconds // CASES)}
    seed = ["--seed", args.seed] if args.seed else []
    passed = failed = 0
    with subprocess.Popen([str(OUT / PROGRAM), "--tap", "-k", *seed], cwd=OUT,
                          env=env, text=True, stdout=subprocess.PIPE) as proc:
        assert proc.stdout
        for line in proc.stdout:
            if TELL.match(line):
                print(line.rstrip(), flush=True)
            passed += line.startswith("ok ")
            failed += line.startswith(("not ok ", "Bail out!"))
    if proc.returncode and not failed:
        failed = 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    run_main(main)
