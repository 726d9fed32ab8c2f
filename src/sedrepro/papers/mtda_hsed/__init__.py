"""MTDA-HSED: adapters and mid-fusion for heterogeneous sound events (ICASSP 2025)."""
