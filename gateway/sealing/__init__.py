"""What is sealed under the master key, and how it is sealed anew under another version of that."""
