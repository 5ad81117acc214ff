"""Units that the records share."""

INTENSITY = "photon"
MODULUS = "sqrt(photon)"  # of a structure factor, whose square is an intensity
