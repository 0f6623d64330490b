"""The audit log: evidence, receipts, Merkle proofs, offline verification."""
