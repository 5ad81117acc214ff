"""Pure functions on tensors: no files, no configuration, no globals, no choice of device."""
