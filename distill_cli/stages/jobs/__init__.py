"""What stages do once there is something to do. These modules import torch."""
