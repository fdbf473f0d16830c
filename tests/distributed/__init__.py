"""Tests of how the processes of a run find each other and talk."""
