"""One question a file: its jobs, its run, its blocks of the pages, and its pictures."""
