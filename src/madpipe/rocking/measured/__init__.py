"""Measured curves: what diffractometers and spreadsheets write, brought into one layout."""
