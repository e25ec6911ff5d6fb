"""Known faults in good artifacts: what proves that the validator finds and names them."""
