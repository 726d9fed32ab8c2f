"""The DCASE 2024 system: DESED and MAESTRO Real together, beside a frozen encoder."""
