"""Files of activations, and the import of vectors into them."""

PAGE = 4096  # datasets begin at one, so that mapped rows are aligned
COLUMNS = ("token", "document", "position")  # int32, of each vector
PORTION_ROWS = 65_536  # vectors imported at a time
