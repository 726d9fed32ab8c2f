"""LGC-SED: local and global consistency (ICASSP 2024)."""
