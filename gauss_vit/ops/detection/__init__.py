"""Pure functions of two-stage detection: boxes, anchors, matching, sampling, suppression, and features of regions."""
