"""The command line, one module per study: the workflow's steps for one file.

Only here imports stand inside functions: what a command runs is loaded when it runs, so that help and version, which
need no numbers, answer at once.
"""
