"""Densities of both kinds of atoms in real space, what is derived from them, and checks of them."""
