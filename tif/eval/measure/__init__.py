"""A model's numbers: teacher-forced scores, completions, and the metrics computed from them."""
