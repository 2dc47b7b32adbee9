"""`tif demo`: from annotation to report on invented people, in minutes on a laptop CPU."""
