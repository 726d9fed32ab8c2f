"""DMSF: audio-visual event localization on AVE, a reconstruction beside exact baselines."""
