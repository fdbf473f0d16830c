"""Bias terms, one a file; `gauss_vit.position` exports them."""
