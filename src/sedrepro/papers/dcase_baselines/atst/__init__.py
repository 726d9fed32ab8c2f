"""ATST-SED's network on DESED alone: a row that scores what its authors released."""
