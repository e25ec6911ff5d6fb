"""How tensors inside an artifact are brought to light, one module per format."""
