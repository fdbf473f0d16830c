"""Folders and archives made into data sets."""
