"""Runs the steps of a build: which must run again, what is kept, the log, one build a folder."""
