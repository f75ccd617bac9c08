"""Text classifiers: a sentence goes in, the score of its being positive comes out.

Recurrent layers, sums and averages of word vectors, maxima and the loss run on the hand-derived
passes of :mod:`rnnreport.layers`; the recurrent models' look-up and affine map are torch's. A
score's sigmoid is the probability of label 1.

Dropout and word dropout act where a generator is given, that is in training, and nowhere else.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Generator, Tensor
from torch.nn.functional import embedding
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnnreport import nn
from rnnreport._checks import check_choice
from rnnreport.data.sentences import Sentences
from rnnreport.layers import embedding_bag_backward, embedding_bag_forward, sigmoid_loss

__all__ = ["BagOfWords", "EmbeddingAverage", "Pooling", "RecurrentClassifier", "TextClassifier"]

Pooling = Literal["last", "max"]

_UNKNOWN = 1  # the index of <UNK> in a Vocabulary


class TextClassifier(torch.nn.Module):
    """What the classifiers share."""

    def prepare(self, sentences: Sentences) -> Sentences:
        """Bring sentences into the form that :meth:`forward` takes; done once, before training."""
        return sentences

    def forward(self, sentences: Sentences, generator: Generator | None = None) -> Tensor:
        """Score sentences.

        Parameters
        ----------
        sentences
            N sentences, from :meth:`prepare`.
        generator
            Draws what is dropped; without it nothing is.

        Returns
        -------
        Tensor, shape (N,)
            The scores.
        """
        raise NotImplementedError

    def loss(
        self, sentences: Sentences, labels: Tensor, generator: Generator | None = None
    ) -> float:
        """Compute the loss of sentences; its gradient is left in ``grad`` of the parameters.

        Parameters
        ----------
        sentences, generator
            As :meth:`forward` takes them.
        labels : Tensor, shape (N,)
            0 or 1, in the dtype of the parameters.

        Returns
        -------
        float
            The mean cross-entropy; equation (P7).
        """
        loss = nn.sigmoid_loss(self(sentences, generator), labels)
        self.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    @property
    def num_parameters(self) -> int:
        """How many numbers are trained."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)


class BagOfWords(TextClassifier):
    """One weight a word: the score is the sum over the words that are there, and a bias.

    A word counts once however often it occurs. Words that are absent cost nothing: a sentence is
    the list of its words and never a row of the whole vocabulary.

    Parameters
    ----------
    n_words : int
        Size of the vocabulary. Weights begin at zero.
    """

    def __init__(self, n_words: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(n_words, 1))
        self.bias = torch.nn.Parameter(torch.zeros(1))

    def prepare(self, sentences: Sentences) -> Sentences:
        """Return each sentence as the set of its words."""
        return sentences.distinct()

    def forward(self, sentences: Sentences, generator: Generator | None = None) -> Tensor:  # noqa: ARG002
        """Score sets of words; see :meth:`TextClassifier.forward`."""
        total = nn.embedding_bag(sentences.words, sentences.lengths, self.weight, average=False)
        return total[:, 0] + self.bias

    @torch.no_grad()
    def loss(
        self,
        sentences: Sentences,
        labels: Tensor,
        generator: Generator | None = None,  # noqa: ARG002
    ) -> float:
        """Compute loss and gradient without autograd; see :meth:`TextClassifier.loss`."""
        total, cache = embedding_bag_forward(
            sentences.words, sentences.lengths, self.weight, average=False
        )
        loss, ds = sigmoid_loss(total[:, 0] + self.bias, labels)
        self.weight.grad = embedding_bag_backward(ds[:, None], cache)  # (P2)
        self.bias.grad = ds.sum()[None]
        return loss.item()


class EmbeddingAverage(TextClassifier):
    """The average of a sentence's word vectors, and an affine map of it.

    Parameters
    ----------
    vectors : Tensor, shape (V, D)
        The first word vectors; copied.
    fixed : bool
        Whether they stay as they are.
    dropout : float
        The share of an average's elements that are dropped in training.
    generator : torch.Generator
        Draws the affine map's first weights.
    """

    def __init__(
        self, vectors: Tensor, *, fixed: bool, dropout: float, generator: Generator
    ) -> None:
        super().__init__()
        self.vectors = torch.nn.Parameter(vectors.clone(), requires_grad=not fixed)
        self.output = affine(vectors.shape[1], 1, generator)
        self.dropout = dropout

    def forward(self, sentences: Sentences, generator: Generator | None = None) -> Tensor:
        """Score sentences; see :meth:`TextClassifier.forward`."""
        average = nn.embedding_bag(sentences.words, sentences.lengths, self.vectors, average=True)
        score: Tensor = self.output(thinned(average, self.dropout, generator))
        return score[:, 0]

    @torch.no_grad()
    def loss(
        self, sentences: Sentences, labels: Tensor, generator: Generator | None = None
    ) -> float:
        """Compute loss and gradient without autograd; see :meth:`TextClassifier.loss`."""
        average, cache = embedding_bag_forward(
            sentences.words, sentences.lengths, self.vectors, average=True
        )
        keep = None
        if generator is not None and self.dropout:
            keep = _keep(average, self.dropout, generator)
        x = average if keep is None else average * keep
        w, b = self.output.weight[0], self.output.bias
        loss, ds = sigmoid_loss(torch.addmv(b, x, w), labels)
        self.output.weight.grad = (ds @ x)[None]
        self.output.bias.grad = ds.sum()[None]
        if self.vectors.requires_grad:
            dx = torch.outer(ds, w)
            self.vectors.grad = embedding_bag_backward(
                dx if keep is None else dx * keep, cache
            )  # (P4)
        return loss.item()


class RecurrentClassifier(TextClassifier):
    """Word vectors, a recurrent layer in one or two directions, a state, and an affine map of it.

    Parameters
    ----------
    vectors : Tensor, shape (V, D)
        The first word vectors; copied, and trained further.
    cell : type
        :class:`rnnreport.nn.RNN` or :class:`rnnreport.nn.LSTM`, or their counterparts in
        :mod:`torch.nn`.
    hidden_dim : int
        H.
    directions : {1, 2}
        With 2, the layer also reads each sentence from its last word to its first.
    pooling : {"last", "max"}
        Which state stands for the sentence: the one after the last word that a layer reads, or for
        each feature the largest over all words.
    embedding_dropout, dropout : float
        The share of a word vector's elements, the same for all words of a sentence, and of the
        pooled state's elements that are dropped in training.
    word_dropout : float
        The share of rare words that become ``<UNK>`` in training, whose vector so learns to stand
        for words that are not known.
    first_rare : int
        The index from which on words are rare; 0 where all are to count as such.
    generator : torch.Generator
        Draws the first weights.

    Raises
    ------
    ValueError
        If `directions` or `pooling` is another.
    """

    def __init__(
        self,
        vectors: Tensor,
        *,
        cell: type[torch.nn.RNN | torch.nn.LSTM],
        hidden_dim: int,
        directions: int,
        pooling: Pooling,
        embedding_dropout: float,
        dropout: float,
        word_dropout: float,
        first_rare: int = 0,
        generator: Generator,
    ) -> None:
        if directions not in (1, 2):
            raise ValueError(f"directions must be 1 or 2, got {directions}")
        check_choice("pooling", pooling, get_args(Pooling))
        super().__init__()
        self.vectors = torch.nn.Parameter(vectors.clone())
        self.recurrent = cell(vectors.shape[1], hidden_dim, bidirectional=directions == 2)
        _initialise(self.recurrent, hidden_dim, generator)
        for name, weight in self.recurrent.named_parameters():
            if name.startswith("weight_hh"):
                # Orthogonal blocks neither shrink nor stretch a state on its way through time.
                for gate in torch.split(weight.detach(), hidden_dim):
                    torch.nn.init.orthogonal_(gate, generator=generator)
        self.output = affine(directions * hidden_dim, 1, generator)
        self.pooling = pooling
        self.embedding_dropout = embedding_dropout
        self.dropout = dropout
        self.word_dropout = word_dropout
        self.first_rare = first_rare

    def forward(self, sentences: Sentences, generator: Generator | None = None) -> Tensor:
        """Score sentences; see :meth:`TextClassifier.forward`."""
        words, lengths = sentences.padded(), sentences.lengths
        if generator is not None and self.word_dropout:
            dropped = _rand_like(words, generator) < self.word_dropout
            words = torch.where(dropped & (words >= self.first_rare), _UNKNOWN, words)
        states = self.states(words, lengths, generator)
        if self.pooling == "max":
            pooled = nn.max_pool(states, lengths)
        else:
            H = self.recurrent.hidden_size
            last = states[lengths - 1, torch.arange(len(lengths), device=words.device)]
            pooled = torch.cat([last[:, :H], states[0, :, H:]], dim=1)  # the other way ends first
        score: Tensor = self.output(thinned(pooled, self.dropout, generator))
        return score[:, 0]

    def scores_by_step(self, sentences: Sentences) -> Tensor:
        """Score every beginning of each sentence: what the model would say if it ended there.

        Only for a model of one direction: the other one has no beginning of a sentence without
        its end.

        Parameters
        ----------
        sentences
            N sentences, T words in the longest.

        Returns
        -------
        Tensor, shape (T, N)
            Scores; behind the end of a sentence they mean nothing.

        Raises
        ------
        ValueError
            If the model has two directions.
        """
        if self.recurrent.bidirectional:
            raise ValueError("scores_by_step needs a model of one direction, got one of two")
        states = self.states(sentences.padded(), sentences.lengths, None)
        if self.pooling == "max":
            states = states.cummax(0).values
        scores: Tensor = self.output(states)
        return scores[:, :, 0]

    def states(self, words: Tensor, lengths: Tensor, generator: Generator | None) -> Tensor:
        """Run the layer.

        Parameters
        ----------
        words : Tensor, shape (T, N), int64
            Padded sentences.
        lengths : Tensor, shape (N,), int64
            How many words each has.
        generator
            Draws which features of the word vectors are dropped; without it none is.

        Returns
        -------
        Tensor, shape (T, N, H) or (T, N, 2H)
            The states at every word, in one direction or in two.
        """
        x = embedding(words, self.vectors)
        if generator is not None:
            # One mask a sentence: a feature is dropped from all of its words or from none.
            x = x * _keep(x[:1], self.embedding_dropout, generator)
        if not self.recurrent.bidirectional:  # what stands behind a sentence changes nothing
            states: Tensor = self.recurrent(x)[0]
            return states
        packed = pack_padded_sequence(x, lengths.cpu(), enforce_sorted=False)
        return pad_packed_sequence(self.recurrent(packed)[0])[0]


def affine(n_in: int, n_out: int, generator: Generator) -> torch.nn.Linear:
    """Return torch's affine layer, its first weights drawn from a generator."""
    # torch's own first weights would be drawn from the global generator.
    layer: torch.nn.Linear = torch.nn.utils.skip_init(  # type: ignore[no-untyped-call]
        torch.nn.Linear, n_in, n_out
    )
    _initialise(layer, n_in, generator)
    return layer


def _initialise(module: torch.nn.Module, size: int, generator: Generator) -> None:
    """Draw what torch draws, from a generator instead of the global one."""
    for parameter in module.parameters():
        torch.nn.init.uniform_(
            parameter, -1 / math.sqrt(size), 1 / math.sqrt(size), generator=generator
        )


def thinned(x: Tensor, share: float, generator: Generator | None) -> Tensor:
    """Drop a share of the elements and scale up the rest; without a generator drop nothing."""
    return x if generator is None or not share else x * _keep(x, share, generator)


def _keep(like: Tensor, share: float, generator: Generator) -> Tensor:
    """Zero for what is dropped, for the rest the factor that keeps the expectation."""
    return (_rand_like(like, generator) >= share) / (1 - share)


def _rand_like(like: Tensor, generator: Generator) -> Tensor:
    # From the CPU's generator whatever the device: the same numbers everywhere.
    return torch.rand(like.shape, generator=generator).to(like.device)
