"""Shim for editable installs; everything is in setup.cfg."""

from setuptools import setup

setup()
