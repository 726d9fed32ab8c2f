"""Settings of the reference systems: the mean teacher's own, and two methods beside it."""

from __future__ import annotations

from typing import ClassVar

from ...settings import PaperSettings
from ..bases.heterogeneous import settings as heterogeneous
from ..bases.mean_teacher import settings as mean_teacher
from .atst import settings as atst
from .beats import settings as beats


class Settings(mean_teacher.Settings):
    """What a row of the mean teacher may change."""

    methods: ClassVar[dict[str, type[PaperSettings]]] = {
        "beats": beats.Settings,
        "heterogeneous": heterogeneous.Settings,
        "atst": atst.Settings,
    }
