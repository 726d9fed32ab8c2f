"""Weakly labelled tagging with a reconstruction task and two-step attention pooling (2APAE)."""
