"""How well a segmenter's prediction agrees with the mask of each pair."""

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from pipeline.data.pairs import Pairs
from pipeline.evaluation.overlap import reduce_score
from pipeline.models.segmenters import Segmenter
from pipeline.segmentation.prediction import count_pixels, score_batches


def score_pairs(network: Segmenter, pairs: Pairs, total_classes: int) -> pd.DataFrame:
    """`id`, `miou` and `cross_entropy` of each pair.

    The mIoU is the mean over the classes, background included, of the image's own IoU (a class
    that neither mask nor prediction shows counts as 1); the cross-entropy is the mean over the
    pixels, in nats.
    """
    miou, cross_entropy = np.empty(len(pairs)), np.empty(len(pairs))
    for where, logits in score_batches(network, pairs.images):  # n×C×H×W
        masks = pairs.masks[where]
        loss = F.cross_entropy(logits, torch.from_numpy(masks).long(), reduction="none")
        cross_entropy[where] = loss.mean(dim=(1, 2)).numpy()
        predicted = logits.argmax(dim=1).numpy().astype(np.uint8)
        counts = count_pixels(predicted, masks, total_classes)
        miou[where] = [reduce_score(counts[[image]], "iou", "macro") for image in range(len(masks))]
    return pd.DataFrame({"id": pairs.ids, "miou": miou, "cross_entropy": cross_entropy})
