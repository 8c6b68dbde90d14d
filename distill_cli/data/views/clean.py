"""The number of the view without augmentation. Apart from the recipes, so that keys need no torch for it."""

CLEAN = -1
