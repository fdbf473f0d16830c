"""Names of parameters in the files of timm and Hugging Face, as tables of rules."""
