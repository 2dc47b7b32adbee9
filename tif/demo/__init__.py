"""`tif demo`: the whole story on people who never lived, in minutes on a laptop CPU."""
