"""What stages do once there is something to do. Importing any of it imports torch.

That makes half a million objects that stay. Python's collector would go through all of them several times meanwhile
(0.15 s), now and then ever after, and twice at the end (0.35 s). So it rests, and leaves them alone from then on.
"""

import gc
import sys

_collects = gc.isenabled()
gc.disable()
try:
    import torch as torch
finally:
    if "triton" not in sys.modules:  # at exit it complains about whatever of it is still there
        gc.freeze()
    if _collects:
        gc.enable()
