"""The classical fit, point by point: the exact solution, its peer, stacks larger than memory, nuisances."""
