"""Kinds of operations on images."""

IMPORT = "image.import"
CONVERT = "image.convert"
SEED = "image.seed"
