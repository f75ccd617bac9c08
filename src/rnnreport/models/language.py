"""A language model on the layers of a text classifier: each word's neighbours are guessed."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from rnnreport import nn
from rnnreport.data.sentences import Sentences
from rnnreport.models.text import RecurrentClassifier, affine, thinned

__all__ = ["LanguageModel"]


class LanguageModel(torch.nn.Module):
    """What guesses the words of a sentence from the words before them, and from those after them.

    Equation (P9). The state of the first direction after a word guesses the next word. The state of
    the second direction, if there is one, guesses the word before. An affine map, the same for
    both, brings a state into the space of word vectors. The logits are its products with all word
    vectors, so a vector stands for its word where it is read and where it is guessed.

    Parameters
    ----------
    classifier
        Its word vectors and its recurrent layer are those that learn; its last layer does not.
    dropout : float
        The share of a state's elements that are dropped in training. Dropout of word vectors is
        that of the classifier.
    generator : torch.Generator
        Draws the affine map's first weights.
    """

    def __init__(
        self, classifier: RecurrentClassifier, *, dropout: float, generator: Generator
    ) -> None:
        super().__init__()
        n_words, size = classifier.vectors.shape
        self.classifier = classifier
        self.output = affine(classifier.recurrent.hidden_size, size, generator)
        self.bias = torch.nn.Parameter(torch.zeros(n_words))
        self.dropout = dropout

    def forward(
        self, sentences: Sentences, generator: Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Guess words.

        Parameters
        ----------
        sentences
            N sentences.
        generator
            Draws what is dropped; without it nothing is.

        Returns
        -------
        logits : Tensor, shape (K, V)
            Of K guesses: of each word that follows another, then of each that another follows, if
            the layer has two directions.
        words : Tensor, shape (K,), int64
            The right words.
        """
        words, lengths = sentences.padded(), sentences.lengths
        states = self.classifier.states(words, lengths, generator)
        H = self.classifier.recurrent.hidden_size
        later = torch.arange(1, len(words), device=words.device)[:, None] < lengths  # (T - 1, N)
        seen, right = [states[:-1, :, :H][later]], [words[1:][later]]
        if self.classifier.recurrent.bidirectional:
            seen.append(states[1:, :, H:][later])
            right.append(words[:-1][later])
        guesses = self.output(thinned(torch.cat(seen), self.dropout, generator))
        return guesses @ self.classifier.vectors.T + self.bias, torch.cat(right)

    def loss(self, sentences: Sentences, generator: Generator | None = None) -> tuple[Tensor, int]:
        """Compute the mean cross-entropy of the guesses, (T7), and how many there are.

        Parameters
        ----------
        sentences, generator
            As :meth:`forward` takes them.

        Returns
        -------
        loss : Tensor, shape ()
            In nats a word; 0 where no word has a neighbour.
        count : int
            The number of guesses.
        """
        logits, words = self(sentences, generator)
        if not len(words):
            return logits.sum(), 0
        return nn.softmax_loss(logits, words), len(words)
