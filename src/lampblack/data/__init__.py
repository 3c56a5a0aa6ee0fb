"""From a file, a frame or an array to a matrix that a network takes: typed, checked, names kept."""
