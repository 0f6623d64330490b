"""The composition root: the only place that reads clock, chance and environment, and wires the parts."""
