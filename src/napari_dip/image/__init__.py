"""The caller's arrays <-> what the prior sees: axes, ranges, regions. No torch."""
