"""The steps of a build, one file for each stage of the flow, and the list that orders them."""
