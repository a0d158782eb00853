# SPDX-License-Identifier: GPL-2.0-or-later
"""Build QEMU's manual with our pages in it.

It is the whole manual of build/tree, with QEMU's own configuration: only so
do references and tables of contents count. What Sphinx read once it keeps, so
that only the first build takes long.
"""

import os
import re
import shutil
from pathlib import Path

from common import BUILD, LOGS, write_atomic
from progress import run_step
from results import Results
from series import Series, load, read_edit
from tree import TREE, make_tree

DOCS = BUILD / "docs"
HTML = DOCS / "html"
KEPT = DOCS / "doctrees"
WARNINGS = DOCS / "warnings.txt"
PYTHON = "/usr/bin/python3"
FAULT = re.compile(r"^(.*?)(?::\d+)?(?::[^:]*)?: "
                   r"(?:WARNING|ERROR|SEVERE|CRITICAL): ")


def series_paths(series: Series) -> set[str]:
    """Every file of QEMU's tree that the series adds or changes."""
    edited = (path for name in series.edits()
              for path in re.findall(r"^\+\+\+ b/(\S+)", read_edit(name),
                                     re.MULTILINE))
    return {*series.files(), *edited}


def concerns(line: str, paths: set[str]) -> bool:
    """Whether a line that Sphinx wrote is a fault in one of these files."""
    match = FAULT.match(line)
    if not match:
        return False
    place = os.path.normpath(TREE / "docs" / match[1])
    return os.path.relpath(place, TREE) in paths


def _forget(pages: list[str]) -> None:
    """Have pages read again: a page that is not gives no warning."""
    for page in pages:
        name = Path(page).relative_to("docs").with_suffix(".doctree")
        (KEPT / name).unlink(missing_ok=True)


def check(results: Results) -> None:
    """Build the manual; each page of ours must be in it, without a fault."""
    make_tree()
    series = load()
    paths = series_paths(series)
    pages = sorted(path for path in paths
                   if path.startswith("docs/") and path.endswith(".rst"))
    DOCS.mkdir(parents=True, exist_ok=True)
    # What Sphinx keeps is of no use to another configuration or version.
    _forget(pages)
    write_atomic(WARNINGS, "")
    run_step("build QEMU's manual",
             [PYTHON, "-m", "sphinx", "-q", "-j", str(os.cpu_count() or 1),
              "-b", "html", "-d", KEPT, "-w", WARNINGS, TREE / "docs", HTML],
             LOGS / "docs.log", env={"PYTHONDONTWRITEBYTECODE": "1"})
    lines = WARNINGS.read_text(errors="replace").splitlines()
    ours = [line for line in lines if concerns(line, paths)]
    for page in pages:
        here = [line for line in ours if f"/{page}:" in line]
        html = HTML / Path(page).relative_to("docs").with_suffix(".html")
        if not html.is_file():
            here.append(f"{html} was not made")
        name = f"{page} is in the manual"
        if here:
            results.failed(name, "\n".join(here))
        else:
            results.passed(name)
    rest = [line for line in ours
            if not any(f"/{page}:" in line for page in pages)]
    if rest:
        # Not in a page, so nothing tells which one to read again.
        shutil.rmtree(KEPT)
        results.failed("docs/other files are without fault",
                       "\n".join(rest))
