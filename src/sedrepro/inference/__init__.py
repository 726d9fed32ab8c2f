"""Networks that only answer: on which device, from which weights, on whose clips."""
