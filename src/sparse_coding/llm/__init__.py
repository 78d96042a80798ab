"""Asking a language model over HTTP: every answer is kept, every call is paid for once, nothing goes over a cap."""
