"""Rows of likelihoods, to tell states of a model apart where whole answers cannot: sums depend on how
many rows a step has, and near ties turn."""

NOISE_MAX = 0.75  # of the default model; half of it was seen between steps of unlike size


def row(entry):
    """Of one token of logprobs: each token that could have come, and how likely it was."""
    return {top.token: top.logprob for top in entry.top_logprobs}


def apart(a, b):
    """How far b is from a, over the five tokens that a thinks likeliest."""
    return max(abs(a[token] - b.get(token, -20)) for token in sorted(a, key=a.get)[-5:])


def near(a, b):
    """Whether both are of the same state."""
    return apart(a, b) < NOISE_MAX
