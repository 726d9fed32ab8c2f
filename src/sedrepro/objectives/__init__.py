"""Losses, ramps and augmentations that papers share: plain functions of tensors."""
