"""The one value of a hard label that is none. Apart from the losses, so that data sets need no torch for it."""

UNLABELLED = -1
