"""What passes a check of a rocking curve's fit, in one place."""

GOOD_CHI2 = (
    1.3  # chi-square per point of a fit that explains its curve: it ends the search, and passes; counting alone: 1
)
GOOD_CHI2_MEASURED = 2.0  # the same where absorbers, dead time and what the model leaves out add to counting
STRAIN = 0.1  # rms error of the strain over its largest value
UNDETERMINED = 0.15  # standard error over the prior's range, above which a parameter is flagged as undetermined
