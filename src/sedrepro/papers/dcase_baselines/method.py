"""The mean teacher of DCASE 2021 to 2023, as the base has it."""

from ..bases.mean_teacher.method import Method

__all__ = ["Method"]
