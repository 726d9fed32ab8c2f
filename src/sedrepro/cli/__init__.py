"""The command line, and what the Snakefile and its scripts stand on."""
