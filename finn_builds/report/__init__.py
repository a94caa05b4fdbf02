"""A build as a page a person can read, and several builds side by side."""
