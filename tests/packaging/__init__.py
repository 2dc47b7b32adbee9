"""The distribution: its name, its files, its lowest versions."""
