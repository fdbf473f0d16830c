"""Measurements of trained models: functions of arrays and callables in, frozen results out."""
