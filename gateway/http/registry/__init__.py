"""The registry as clients of Confluent's know it: its routes, its parameters, its error bodies."""
