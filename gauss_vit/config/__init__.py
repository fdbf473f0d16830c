"""Configs: loading from files, overrides by flags, checks against annotations, and JSON."""
