"""Notebooks for the PC and for the board; ``pynq get-notebooks prunestream`` delivers them."""
