"""What passes a check of a rocking curve's fit, in one place."""

GOOD_CHI2 = (
    1.3  # chi-square per point of a fit that explains its curve: it ends the search, and passes; counting alone: 1
)
GOOD_CHI2_MEASURED = 2.0  # the same where absorbers, dead time and what the model leaves out add to counting
CHANCE = 4.0  # standard errors of chi-square that counting alone does not make
STRAIN = 0.1  # rms error of the strain over its largest value
UNDETERMINED = 0.15  # standard error over the prior's range, above which a parameter is flagged as undetermined
LEAST_CHI2 = 0.5  # chi-square per point, below which errors are too large: 100 points of counting alone give 1 +- 0.14
LEAST_NOISE = 0.3  # variance from point to point over that of counting: 1 +- 0.2
SATURATED_POINTS = 3  # of the same largest count in a row; by chance once in 12 N scans for counts N
SATURATED_COUNTS = 1000.0  # below which equal counts may well be chance
LARGEST_TILT = (
    5.0  # of omega against half of 2 theta [degree]; wafers are miscut by less, asymmetric planes tilt by more
)
LARGEST_MISCUT = 5.0  # degree of omega, of a scan of omega alone
SAME_WAVELENGTH = 5e-4  # relative difference; the mean of copper's K-alpha is off K-alpha 1 by 8e-4
PEAK_OFF = 0.5  # degree of 2 theta between the substrate's peak and theory: zero, and 0.3 % of lattice constant at 80
PEAK_OFF_SAID = 0.2  # the same, from where on it is said; aligned instruments are within 0.05
WIDER_THAN_PEAK = 2.0  # half width of a resolution over the substrate's peak's, which it is a part of: impossible
NARROWEST_OVER_STEP = 0.02  # half width of a resolution over the scan's step, below which it cannot be calculated with
MOST_CELLS = 5e7  # points times angles of the matrix of the resolution: 400 MB
MOST_WORK = 2e7  # angles times sublayers of a free form; its derivatives then take a second and 1 GiB
ENDS_STRAINED = 0.2  # strain in the lowest twentieth of a free form over its largest, from which it seems cut off
WIDTH_FACTOR = 3.0  # of a resolution that a fit finds over that told, or its inverse, from where on it is said
IGNORED = 10.0  # relative error of a point that does not count
