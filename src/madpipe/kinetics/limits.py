"""Limits of the checks against a simulated series' truth."""

INSIDE = 0.9  # least share of frames and components whose truth lies in the band
CONCENTRATION = 0.008  # largest root mean square error of concentrations by a scheme [1]
FOUND = 0.8  # least F1 of the events of one series
REFERENCE = 0.05  # largest difference to concentrations that another program found [1]
