"""What passes a check of still images, in one place."""

INDEXED = (
    0.6  # share of an image's spots within 2 pixels of a reflection, at least; four thaumatin stills have .69 to .76
)
PEARSON = 1.3  # chi-square per pixel, at most
CC_HALF = 0.5  # of all merged reflections, at least
CC_TRUE = 0.8  # correlation of merged intensities with the truth, at least
MODEL_ERROR = 0.2  # of spots beside counting, above which the model is said not to fit: crystals alike have .01 to .05
PULL = 2.0  # standard deviation of errors over stated errors, or its inverse, at most: few images tell it to .2 to .4
PULL_NUMBERS = 4  # independent errors that tell that, at least: fewer are off by 2 by chance
NULL = 3.0  # standard deviations of the shuffled reference's correlation about 0, at most
