"""What leaves for other programs: folders that timm and transformers load, and StableHLO."""
