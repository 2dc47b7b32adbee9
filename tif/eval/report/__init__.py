"""One HTML page that shows evaluations side by side."""
