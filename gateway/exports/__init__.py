"""Exports: ranges of a partner's log as files that prove themselves, made step by step, handed out anew."""
