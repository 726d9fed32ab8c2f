"""The DCASE mean teacher (task 4, 2021 to 2023): a CRNN that learns from its own average."""
