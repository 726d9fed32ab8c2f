"""ATST-SED (Shao, Li and Li, ICASSP 2024) on the clips of MTDA-HSED: a row of its table."""
