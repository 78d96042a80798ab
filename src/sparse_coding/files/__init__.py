"""Which files are meant where something comes from outside: a model, a corpus, vectors. No torch."""
