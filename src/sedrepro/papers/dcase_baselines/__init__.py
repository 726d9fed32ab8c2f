"""The reference systems of DCASE task 4, on which the papers on DESED stand."""
