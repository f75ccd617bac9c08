"""Text classification: word vectors, classifiers, and a small LSTM that lives in a page."""
