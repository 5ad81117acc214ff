"""What passes a check, in one place: of a fit, of a network's answer, of an object; and what is warned of.

A check is a number beside its limit (:mod:`madpipe.base.verdict`). What fails is written and shown all the same.
"""

# -- data as they come in -------------------------------------------------------------------------------------

MOST_ELECTRONS = 1e3  # of f0, |f'| and f''; the heaviest atoms have a hundred, white lines a few hundred
MOST_ENERGY = 1e9  # eV; the K edge of uranium lies at 1.2e5
MOST_PHOTONS = 1e18  # in a point: more than any source gives in a year; detectors mark dead pixels by 2^63 and 2^64
LEAST_ERROR = 1e-30  # photon, of an error that is not 0; below, squares leave the range of numbers

# -- a fit or a network's answer ------------------------------------------------------------------------------

# R over its noise floor, at most. A fit of three unknowns per point follows part of the noise, hence lies below the
# floor; a network shares its answer's error among the points and may lie a little above.
R_OVER_NOISE = {"fit": 1.0, "network": 1.1}
CERTIFIED = 0.95  # share of the points, at least
CHI2 = 1.2  # per degree of freedom, at most
COVERED = 0.9  # share of the points within their stated 95 % intervals, at least, where 0.95 is due
CELL = 300  # points from which on a shell's share is judged: by chance 0.95 comes out within 0.013, 0.683 within 0.027
# Stated rms error over the one that split counts find, or the inverse, at most; beside as many standard errors of it.
STATED_BY_SPLIT, STATED_SIGMAS = 1.3, 2.0
# Photons per energy in a half from which on split counts find the true error: squares of .7 to 1.35 times it at 0.3-10
# photons, each known to .2 to .9, 1 within the errors beyond (12 frames of 96 x 96, 8 energies).
SPLIT_FROM = 0.3
SET_ASIDE = 1e3  # widening from which on a prediction counts for nothing, and the answer is that of the counts

# -- an object, by its retrieval ------------------------------------------------------------------------------

OBJECT_R_OVER_NOISE = 1.05  # at most; an object has fewer unknowns than points, so little of the noise is followed
R_SCATTER = 4.0  # standard errors of R over the R of noise, below what its unknowns explain, that are still chance
LEAST_R = 0.5  # of what its unknowns explain, at least, however few points hold the photons
# Unknown beside its object's extent, an object is determined by intensities where they are sampled at half the Nyquist
# interval of the density, along every axis (Sayre 1952): its autocorrelation then fills the frame at most.
OVERSAMPLING = 2.0
# of the other element's f' + i f'', about their mean over the energies, at most, unsaid [electron]: a tenth of the
# least contrast worth measuring at, 3 electron. Far from its edges an element's change by 0.1 over 40 eV.
PARTNER_DISPERSION = 0.3
LIKELIER_HAND = 50.0  # ln of a ratio of likelihoods, at least; noise alone made 25 for the wrong hand at 1e5 photons
FOURIER_ERROR = 0.1  # relative misfit of an image to the measured moduli, at most
FREE_ERROR = 0.3  # the same for the points held out, at most
TRANSFER = 0.5  # phase-retrieval transfer function down to which solutions agree
SHARE_BEYOND = (
    0.05  # of the mean share of resonant atoms outside of 0 to 1: pure ones come out within 0.01 at 1e5 photons
)
RESOLUTION = 0.5  # q to which they do so, as a share of the frame's edge, at least
TWIN_INCONSISTENCY = 1.02  # of the resonant atoms in the twin over that in the image, at least; 1 tells nothing

# -- an object beside another one, or beside the truth --------------------------------------------------------

ROUTES = 0.8  # correlation of the densities by two routes, at least
CORRELATION = 0.9  # of the density of all atoms with the truth, at least
SUPPORT_OVERLAP = 0.8  # intersection over union of the support and the true one, at least
VOLUME = 0.15  # of the support over the true one, less 1, unsigned, at most
COMPOSITION_PROFILE = 0.05  # rms difference of the composition at equal depth, at most
CORE_COMPOSITION = 0.05  # difference of the mean composition of the core, at most
ABSENT_ATOMS = 1.5  # rms share of atoms that are not there over its stated error, at most

# -- absorption spectra ---------------------------------------------------------------------------------------

EDGE_AWAY = 3.0  # eV between a spectrum's steepest rise and the table's edge; metals' foils are within 2

# -- lists of reflections -------------------------------------------------------------------------------------

# Relative difference of scales beyond which the lists of one file are scaled apart, beside what the resonant atoms may
# do: programs scale to about a per cent.
SAME_SCALE = 0.015
MOST_CHANGE = 0.33  # of f' about an edge over f0, 10 of 30 electron

# -- data as they come ----------------------------------------------------------------------------------------

# Photon energies of one measurement: within this factor of the edge. Remote wavelengths lie 1 to 2 keV above it, of S K
# at 2472 eV too; keV, J and wavelengths are further off, but where keV and angstrom are alike, at 3.5 keV.
ENERGY_REACH = 2.0
ENERGY_AT_EDGE = 0.02  # relative distance of one energy from the edge; inflection and peak are within 0.002
ENERGY_RESOLUTION = 1e-4  # relative; Si (111) passes 1.3e-4, Si (311) 0.3e-4
EVEN = 0.1  # of a step; at the rim of a particle half as wide as the field of view, 0.16 rad of phase
# Variance of intensities over that of photon counts, or its inverse, at most: stated errors are then within 1.4 times.
FANO = 2.0
FANO_SIGMAS = 3.0  # standard errors of that number which it must be beyond the limit
# An isolated point over the largest that its neighbours may expect. At an oversampling of 2 a uniform particle's peak
# falls to 0.41 at the next point, a ring's to 0.22; ten times belongs to no particle.
HOT_ABOVE = 10.0
BLOCKED_BY = 100.0  # counts on both sides of zeros; a dark fringe two points wide then has probability exp(-44)
SATURATED_POINTS = 4  # of one largest value, at least, and three times as many as within two standard deviations below
MASKED_SHARE = 0.5  # of the points, and of the photons, that a mask may cover
# f', f'' given against Chantler's table [electron]: solids differ by less away from the edge, white lines near it
TABLE_OFF, TABLE_OFF_NEAR = 3.0, 15.0
# q of the frame over |q_bragg|: neighbouring peaks of a lattice lie about |q_bragg| apart, and a frame holds one
REACH = 0.5
EXPOSURES_APART = 10.0  # largest monitor over the smallest, at most
TOTALS_OFF = 2.0  # intensities at unit exposure beyond what a pure resonant element would show, at most, as a factor

# -- an answer beside its stack: what is warned of ------------------------------------------------------------

# Expected photons per intensity from which chi-square follows its law: Pearson's sum with weights at the fitted
# expectation is low by some 1 / (2 mu) below.
BRIGHT = 20.0
# Relative error of the equation itself, of its intensities: f', f'' of the other atoms move by some 0.03 electron over
# 35 eV about another edge, of 25, and count twice in an intensity.
MODEL_ERROR = 0.002
NOISE = 4.0  # standard errors of chi-square that noise alone does not make: 6e-5
# Chi-square from which stated errors are 10 % too small, or too large below its inverse; CHI2 is the check's.
TOO_GOOD = 1 / CHI2
DOUBTFUL = 1.02  # chi-square from which other readings of the data are tried: they are told where one explains it
EXPLAINS = 0.8  # share of what chi-square has above 1 that another reading must take away
FOLLOWED = 0.5  # R over the R that noise leaves, below which the counts cannot be photons
RESONANT_SHARE = 1.2  # median |F_A|^2 over that of a particle of the pure element as bright: 0 to 1.0 for known ones
NOISE_SCALE = 2.0  # measured over stated errors, at most
# Prior errors that refined nuisances may have moved: from PRIORS_DOUBTED on the prior is narrower than what it stands
# for (by chance once in 1e4 energies), and errors are too small; beyond PRIORS they are hardly possible at all: a
# monitor that is 5 % off, as they are, is 5 to 7 of its 1 %.
PRIORS_DOUBTED, PRIORS = 4.0, 8.0

# Share of the training's kind of particles that need as much widening, below which a stack is told to be unlike them.
UNUSUAL = 0.02
