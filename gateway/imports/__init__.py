"""Imports: bodies of many events, kept whole first, then taken piece by piece through the ingress."""
