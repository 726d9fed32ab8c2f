"""What the downloads of one job share: settings, a clock, the gates of hosts, patience."""

from __future__ import annotations

import random
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .. import __version__
from ..settings.data import Fetch
from . import gate, policies
from .gate import Gate, RefusedError, TransientError, UnreachableError

LONGEST_WAIT = 300.0
HOSTS = ".hosts"
"""The folder among the downloads where jobs tell each other of their hosts."""
DRIVE = "drive:"
"""What an address on Google Drive begins with; its id follows."""


def host_of(address: str) -> str:
    """The host of a web address, or of a file on Google Drive."""
    return "drive.google.com" if address.startswith(DRIVE) else policies.host_of(address)


@dataclass
class Session:
    """What the downloads of one job share."""

    settings: Fetch
    folder: Path
    clock: gate.Clock = field(default_factory=lambda: gate.Clock())
    _gates: dict[str, Gate] = field(default_factory=dict)

    def gate(self, host: str) -> Gate:
        """The gate of a host."""
        if host not in self._gates:
            policy = policies.of(host)
            if policy is policies.YOUTUBE:
                policy = policies.youtube(self.settings.cookies)
            made = Gate(host, policy, self.folder, self.clock, self.settings.connections)
            self._gates.setdefault(host, made)
        return self._gates[host]

    def retry(
        self, address: str, attempt: Callable[[Callable[[], None]], None], size: Callable[[], int]
    ) -> None:
        """Ask for an address until it works; attempts that brought something (`size`) don't count.

        A refusal ends it at once: asking again within minutes would only make it worse.
        """
        failures = 0
        while True:
            before = size()
            try:
                return self.gate(host_of(address)).ask(attempt, address)
            except TransientError as trouble:
                failures = 1 if size() > before else failures + 1
                offline = isinstance(trouble, UnreachableError)
                # A host that can't be reached at all is given up sooner: the network is down.
                most = min(3, self.settings.attempts) if offline else self.settings.attempts
                if isinstance(trouble, RefusedError) or failures >= most:
                    raise
                self.clock.sleep(self._pause(failures, trouble.after))

    def _pause(self, failures: int, asked: float | None) -> float:
        longest = min(LONGEST_WAIT, self.settings.wait * 2 ** (failures - 1))
        return max(random.uniform(longest / 2, longest), min(asked or 0.0, LONGEST_WAIT))

    def request(self, url: str) -> urllib.request.Request:
        """A request that says who asks, in the form Zenodo wants."""
        agent = f"sedrepro/{__version__} ({self.settings.contact})"
        return urllib.request.Request(
            url, headers={"User-Agent": agent, "Accept-Encoding": "identity"}
        )
