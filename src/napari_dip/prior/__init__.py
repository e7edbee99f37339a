"""The CNN prior: networks, forward models, likelihoods and the loop that fits them. Tensors only.

Every tensor is laid out as (batch, channels, [z,] y, x) in float32, its values near [0, 1].
"""

import os

# A run shares its cores with the viewer. Threads of libgomp that spin while they wait cost up to ten times the work
# itself there; they read this once, when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
