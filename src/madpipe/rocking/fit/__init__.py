"""The classical fit of a curve: search, other layers that explain it as well, draws from the posterior."""
