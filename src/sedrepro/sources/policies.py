"""How each host wants to be asked: what it allows, how it refuses, how long to leave it alone then.

Three kinds of answers count: *gone* is final; *refused* means this host gives nothing for a while,
whatever is asked; *later* is a trouble of the moment. Nothing but these tables decides which is
which. Light on purpose: planning reads how long a download will take from it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

HOUR = 3600.0
DAY = 24 * HOUR


@dataclass(frozen=True)
class Policy:
    """What one host is asked, how often, and what its answers mean."""

    name: str
    hosts: tuple[str, ...] = ()
    """Host names; a name that ends in one of them is meant as well."""
    per_hour: int | None = None
    """Requests an hour; None: the host states no limit."""
    pause: tuple[float, float] = (0.0, 0.0)
    """Seconds between the end of a request and the next one, drawn between the two."""
    takes: float = 0.0
    """Seconds that a request itself is reckoned to take, where they count beside the pauses."""
    connections: int | None = None
    """Requests at a time, over all jobs; None: as `data.fetch.connections` says."""
    wall: float = HOUR / 4
    """Seconds to leave the host alone after a refusal; then one request asks whether it is over."""
    per_file: bool = False
    """Whether a refusal is of one file, and others are given as ever."""
    gone: tuple[int, ...] = (404, 410, 451)
    """HTTP answers that are final."""
    refused: tuple[int, ...] = (403, 429)
    """HTTP answers that stand for a limit. Every other failure is a trouble of the moment."""

    @property
    def interval(self) -> float:
        """Seconds from the start of one request to the start of the next."""
        return HOUR / self.per_hour if self.per_hour else 0.0

    def hours(self, requests: int) -> float:
        """How long so many requests take, each with the pause after it."""
        return requests * max(self.interval, self.takes + sum(self.pause) / 2) / HOUR

    @property
    def pace(self) -> float:
        """Requests an hour that come of limit and pauses."""
        return 1 / self.hours(1)


# Guests may ask for about 300 videos an hour, and yt-dlp advises 5 to 10 s between two (its wiki,
# "This content isn't available"); its own error says that a block lasts up to an hour.
# What a video itself takes is our guess.
YOUTUBE = Policy("YouTube", ("youtube.com",), 300, (5.0, 10.0), takes=3.0, connections=1, wall=HOUR)
# An account may ask for about 2,000 (the same page), but the advice on pauses stands, and it can be
# closed. So an account gains little time; it gains videos with an age limit.
YOUTUBE_ACCOUNT = replace(YOUTUBE, per_hour=2000)

POLICIES = (
    YOUTUBE,
    # Zenodo answers 403 to agents and networks it does not like that day; its headers say when the
    # minute's budget is whole again.
    Policy("Zenodo", ("zenodo.org",), per_hour=2000, connections=4, wall=HOUR / 4),
    # Drive's quota is counted per file and day.
    Policy("Google Drive", ("drive.google.com",), connections=1, wall=DAY, per_file=True),
    # 401 is what Hugging Face says of what does not exist, or asks for a login.
    Policy("Hugging Face", ("huggingface.co",), 6000, connections=4, gone=(401, 404, 410, 451)),
    # A link to a file is closed for a day when it was asked for too often.
    Policy("Dropbox", ("dropbox.com",), connections=1, wall=DAY, per_file=True),
    Policy("GitHub", ("github.com", "githubusercontent.com"), connections=4, wall=HOUR),
)

OTHER = Policy("")


def youtube(cookies: str | None) -> Policy:
    """YouTube's policy for a guest, or for the account of these cookies."""
    return YOUTUBE_ACCOUNT if cookies else YOUTUBE


def of(host: str) -> Policy:
    """The policy of a host, or the one for hosts nothing is known of."""
    name = host.partition(":")[0]
    for policy in POLICIES:
        if any(name == known or name.endswith(f".{known}") for known in policy.hosts):
            return policy
    return replace(OTHER, name=host)


def known(host: str) -> bool:
    """Whether this is a host with a policy of its own."""
    return any(policy is of(host) for policy in POLICIES)


def host_of(url: str) -> str:
    """The host of an address, with its port."""
    return urlsplit(url).netloc.rpartition("@")[2]
