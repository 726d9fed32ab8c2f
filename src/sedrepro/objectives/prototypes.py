"""Class prototypes: running centres of confident frames, and the contrast against them."""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn
from torch.nn import functional as F

log = logging.getLogger(__name__)


def with_background(probabilities: Tensor) -> Tensor:
    """(…, class) and, as one more class, the probability that none is active: 1 - the largest."""
    return torch.cat([probabilities, 1 - probabilities.amax(-1, keepdim=True)], dim=-1)


def membership(labels: Tensor, confident: float, background: float) -> Tensor:
    """(…, class + 1): the classes a frame stands for; background when all are below the limit."""
    quiet = labels.amax(-1, keepdim=True) < background
    return torch.cat([labels >= confident, quiet], dim=-1)


class Prototypes(nn.Module):
    """Unit vectors (class, prototype, dimension); buffers, so that checkpoints keep them."""

    vectors: Tensor
    initialised: Tensor

    def __init__(self, classes: int, prototypes: int, dimension: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.zeros(classes, prototypes, dimension))
        self.register_buffer("initialised", torch.tensor(False))

    def initialise(self, features: Tensor, members: Tensor, *, starts: int, seed: int) -> None:
        """K-means centres, per class of `members` (frame, class), of `features` (frame, dimension).

        A class with fewer frames than prototypes gets random unit vectors for the missing ones.
        """
        for index, centres in enumerate(self.vectors):
            chosen = features[members[:, index]].float().cpu()
            missing = len(centres) - len(chosen)
            if missing > 0:
                log.warning(
                    "class %d: %d confident frames for %d prototypes, %d are random",
                    index,
                    len(chosen),
                    len(centres),
                    missing,
                )
                chosen = torch.cat([chosen, torch.randn(missing, chosen.shape[1])])
            else:
                chosen = _centres(chosen, len(centres), starts, seed)
            centres.copy_(F.normalize(chosen, dim=1))
        self.initialised.fill_(True)

    def similarity(self, features: Tensor) -> Tensor:
        """(…, class): inner product with the nearest prototype of each class."""
        return torch.einsum("...d,kmd->...km", features, self.vectors).amax(-1)

    @torch.no_grad()
    def update(self, features: Tensor, members: Tensor, momentum: float) -> None:
        """Move each prototype towards the mean of the frames of its class nearest to it.

        `features` (frame, dimension) are unit vectors, `members` (frame, class) says which classes
        a frame serves. All frames are assigned before a prototype moves; one without frames stays.
        """
        classes, prototypes, dimension = self.vectors.shape
        nearest = torch.einsum("nd,kmd->nkm", features, self.vectors).argmax(-1)
        assigned = F.one_hot(nearest, prototypes) * members.unsqueeze(-1)
        weights = assigned.reshape(-1, classes * prototypes).to(features.dtype)
        count = weights.sum(0).view(classes, prototypes, 1)
        total = (weights.T @ features).view(classes, prototypes, dimension)
        moved = momentum * self.vectors + (1 - momentum) * total / count.clamp(min=1)
        self.vectors.copy_(torch.where(count > 0, F.normalize(moved, dim=-1), self.vectors))

    def contrast(
        self, features: Tensor, positives: Tensor, anchors: Tensor, temperature: float
    ) -> Tensor:
        """Mean over anchors of -log softmax similarity, averaged over each one's positive classes.

        `features` (frame, dimension); `positives` (frame, class) and `anchors` (frame,) are masks.
        The softmax runs over all classes, other positives included. Without anchors the loss is 0.
        """
        likelihood = (self.similarity(features) / temperature).log_softmax(1)
        loss = -(likelihood * positives).sum(1) / positives.sum(1).clamp(min=1)
        return (loss * anchors).sum() / anchors.sum().clamp(min=1)


def _centres(frames: Tensor, clusters: int, starts: int, seed: int) -> Tensor:
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    # With several threads the order of summation, and so the last digits, would vary between runs.
    with threadpool_limits(1):
        fit = KMeans(clusters, n_init=starts, random_state=seed).fit(frames.numpy())
    return torch.from_numpy(fit.cluster_centers_).to(frames.dtype)
