"""What one types: commands, and the words that a run ends with."""
