"""Metrics as pure functions: scores → events → counts per clip → numbers and intervals.

`decode` and `events` make events, `intersection` and `f1` count per clip, `psds` and `f1` turn
counts into numbers, `bootstrap` into intervals; `packages` asks the packages others publish with.
Importing a module here costs numpy and scipy at most.
"""
