"""Networks that papers share; what belongs to one paper alone lies in its own package."""
