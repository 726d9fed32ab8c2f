"""What papers inherit, settings and method: systems of the DCASE challenge."""
