"""Google Drive, through gdown: its quota is told apart from a file that is gone."""

from __future__ import annotations

from pathlib import Path

from ..files import full_disk
from .gate import GoneError, RefusedError, TransientError, UnreachableError
from .session import DRIVE, Session, host_of

HOST = host_of(DRIVE)


def download(drive_id: str, whole: Path, session: Session) -> Path:
    """The complete file at `whole`, resuming what an earlier start left beside it."""
    whole.parent.mkdir(parents=True, exist_ok=True)
    with full_disk(whole.parent):
        address = f"{DRIVE}{drive_id}"
        session.retry(address, lambda _: _once(drive_id, whole, session), lambda: _partial(whole))
    return whole


def _once(drive_id: str, whole: Path, session: Session) -> None:
    import gdown
    import requests
    from gdown.exceptions import DownloadError, FileURLRetrievalError

    try:
        gdown.download(
            id=drive_id,
            output=str(whole),
            quiet=True,
            use_cookies=False,
            resume=True,
            timeout=session.settings.timeout,
        )
    except FileURLRetrievalError as error:
        # Drive answers a spent quota and a withdrawn file with much the same page.
        raise RefusedError(f"Google Drive does not give the file ({_last_words(error)})") from None
    except requests.exceptions.HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        policy = session.gate(HOST).policy
        if status in policy.gone:
            raise GoneError(f"HTTP {status}") from None
        kind = RefusedError if status in policy.refused else TransientError
        raise kind(f"HTTP {status}") from None
    except (requests.exceptions.ReadTimeout, requests.exceptions.ChunkedEncodingError) as error:
        raise TransientError(_last_words(error)) from None
    except requests.exceptions.ConnectionError as error:
        raise UnreachableError(_last_words(error)) from None
    except (DownloadError, requests.exceptions.RequestException) as error:
        for leftover in _leftovers(whole):
            if "multiple temporary files" in str(error):
                leftover.unlink()
        raise TransientError(_last_words(error)) from None


def _leftovers(whole: Path) -> list[Path]:
    return sorted(whole.parent.glob(f"{whole.name}*.part"))


def _partial(whole: Path) -> int:
    return sum(path.stat().st_size for path in _leftovers(whole))


def _last_words(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
