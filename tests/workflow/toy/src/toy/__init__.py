"""Steps of a second each, which stand for steps of a week."""
