"""Rollbook: a self-hosted enrolment server that speaks SmarterU's XML API."""

from importlib.metadata import version

__version__ = version("rollbook")
