"""Build configuration: options, boards, checks of single options, and what decides a result."""
