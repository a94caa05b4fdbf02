"""Networks that say how unusual a frame is, learned from usual frames alone."""
