"""Pure functions of arrays: no parameters, no module library."""
