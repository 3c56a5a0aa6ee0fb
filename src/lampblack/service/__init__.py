"""The service: a model behind HTTP, with a page for people. Start with `lampblack serve MODEL`.

A request goes through `access` (who may), `body` (how much, how fast), `reading` (bytes to checked
samples), `batching` (one thread that scores) and `answers`. `engine` is the model in use, `server`
the process around it all. Importing this package loads nothing heavy.
"""
