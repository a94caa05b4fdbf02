"""Names of the jets' features and classes, in the order used everywhere."""

FEATURES = (
    "zlogz",
    "c1_b0_mmdt",
    "c1_b1_mmdt",
    "c1_b2_mmdt",
    "c2_b1_mmdt",
    "c2_b2_mmdt",
    "d2_b1_mmdt",
    "d2_b2_mmdt",
    "d2_a1_b1_mmdt",
    "d2_a1_b2_mmdt",
    "m2_b1_mmdt",
    "m2_b2_mmdt",
    "n2_b1_mmdt",
    "n2_b2_mmdt",
    "mass_mmdt",
    "multiplicity",
)
"""Sums over the jet's constituents, energy correlations after mMDT grooming, groomed mass (GeV)
and number of constituents."""

CLASSES = ("g", "q", "t", "w", "z")
"""Gluon, light quark, top quark, W boson, Z boson."""
