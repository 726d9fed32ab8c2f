"""Mixtures of recordings: DESED's soundscapes, mixed from the sound bank by scaper."""
