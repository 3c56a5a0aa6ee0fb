"""Images: found in folders and files, decoded, checked, and handed on as arrays in [0, 1]."""
