"""What decides whether a file must be made again: keys, stamps, the content store. Knows no stage by name."""
