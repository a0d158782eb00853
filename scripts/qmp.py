# SPDX-License-Identifier: GPL-2.0-or-later
"""A small client of QEMU's monitor."""

import json
import socket
from typing import Any

from common import UserError


class Qmp:
    """A synchronous QMP client on a connected socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.stream = sock.makefile("rwb")
        self.events: list[dict[str, Any]] = []

    def connect(self, limit: float) -> None:
        """Begin; no answer may take longer than `limit` seconds."""
        self.sock.settimeout(limit)
        self._read()
        self.command("qmp_capabilities")

    def _read(self) -> dict[str, Any]:
        line = self.stream.readline()
        if not line:
            raise UserError("QEMU closed its monitor")
        return dict(json.loads(line))

    def command(self, name: str, /, **arguments: object) -> Any:
        """Run a command; an error of QEMU's is a UserError."""
        request = {"execute": name, "arguments": arguments}
        try:
            self.stream.write(json.dumps(request).encode() + b"\n")
            self.stream.flush()
            while True:
                reply = self._read()
                if "return" in reply:
                    return reply["return"]
                if "error" in reply:
                    raise UserError(f"QMP {name}: {reply['error']['desc']}")
                self.events.append(reply)
        except OSError as error:
            raise UserError(f"QMP {name}: {error}") from None

    def wait_event(self, name: str, **data: object) -> None:
        """Wait for an event that has not been waited for yet.

        data: fields that the event must have
        """
        try:
            while True:
                while self.events:
                    seen = self.events.pop(0)
                    if (seen.get("event") == name
                            and data.items() <= seen.get("data", {}).items()):
                        return
                self.events.append(self._read())
        except OSError as error:
            raise UserError(f"QMP event {name}: {error}") from None
