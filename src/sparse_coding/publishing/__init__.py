"""A folder for a model hub: dictionaries as SAELens reads them, a card, and a bundle that Neuronpedia imports."""
