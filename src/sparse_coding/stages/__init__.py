"""Where the core meets files: read, call the core, write. One file a stage."""
