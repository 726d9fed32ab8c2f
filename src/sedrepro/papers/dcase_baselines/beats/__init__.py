"""The DCASE 2023 system beside frozen BEATs: a row of the table."""
