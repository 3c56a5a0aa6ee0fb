"""Tables: read from files and frames, typed, checked, encoded; column names kept."""
