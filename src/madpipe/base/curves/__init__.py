"""Curves of scattered intensity against q: one record, and readers of the files that other programs write."""
