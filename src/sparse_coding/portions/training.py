"""Training: the stream of vectors, and the room of a sparse step."""

CHUNK_ROWS = 256  # neighbours in the file that are read together
AHEAD = 32  # batches; at 60 a second half a second, in which a buffer is filled
STEPS_A_TURN = 16  # a member's weights and moments stay in the cache for so many batches
DENSEST = 0.2  # share of codes that may be positive in a sparse step; above, a dense one takes no longer
