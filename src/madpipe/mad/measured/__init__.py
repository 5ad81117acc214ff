"""A beamline's files as they are, and how they become one checked stack."""
