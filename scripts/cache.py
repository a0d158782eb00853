# SPDX-License-Identifier: GPL-2.0-or-later
"""The user's cache: downloads by their SHA-256, and what the archive
answered when it was asked for the newest version of a package."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

from common import UserError, cache_dir, sha256_file, write_atomic

Record = dict[str, str]     # the fields of a package's control stanza


def cached(sha256: str) -> Path | None:
    """The cache's file with this checksum; a damaged one is dropped."""
    path = cache_dir() / sha256
    if not path.is_file():
        return None
    if sha256_file(path) != sha256:
        path.unlink()
        return None
    return path


def store(path: Path, sha256: str) -> Path:
    """Put a file into the cache under its checksum."""
    actual = sha256_file(path)
    if actual != sha256:
        raise UserError(f"bad checksum of {path.name}: SHA-256 is {actual}, "
                        f"must be {sha256}; try again, or another mirror")
    dest = cache_dir() / sha256
    if not dest.exists():
        copy_whole(path, dest)
    return dest


def copy_whole(src: Path, dest: Path) -> None:
    """Copy a file so that `dest` is whole or absent."""
    dest.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{dest.name[:40]}.",
                                    dir=dest.parent)
    os.close(handle)
    try:
        shutil.copyfile(src, name)
        os.chmod(name, 0o644)
        os.replace(name, dest)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _answer_path(key: str) -> Path:
    name = hashlib.sha256(key.encode()).hexdigest()
    return cache_dir() / "answers" / f"{name}.json"


def load_answer(key: str, days: float | None) -> Record | None:
    """An earlier answer, unless it is older than `days`."""
    path = _answer_path(key)
    try:
        if days is not None and \
                time.time() - path.stat().st_mtime > days * 86400:
            return None
        answer = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return answer["record"] if answer.get("key") == key else None


def save_answer(key: str, record: Record) -> None:
    write_atomic(_answer_path(key),
                 json.dumps({"key": key, "record": record}, indent=1) + "\n")
