"""Cross-task training of sound event detection and sound-activity-aware detection (SOD)."""
