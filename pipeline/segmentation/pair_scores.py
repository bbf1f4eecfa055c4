"""How well a segmenter's prediction agrees with the mask of each pair."""

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from pipeline.data.pairs import Pairs
from pipeline.evaluation.overlap import defect_iou, reduce_score
from pipeline.models.segmenters import Segmenter
from pipeline.segmentation.filtering import SCORES
from pipeline.segmentation.prediction import count_pixels, score_batches


def score_pairs(network: Segmenter, pairs: Pairs, total_classes: int) -> pd.DataFrame:
    """`id` and the columns `SCORES` of each pair.

    The mIoU is the mean over the classes, background included, of the image's own IoU (a class
    that neither mask nor prediction shows counts as 1); the defect IoU the mean over the defect
    classes that mask or prediction show, NaN without any; the cross-entropy the mean over the
    pixels, in nats.
    """
    scores = np.empty((len(pairs), len(SCORES)))
    for where, logits in score_batches(network, pairs.images):  # n×C×H×W
        masks = pairs.masks[where]
        loss = F.cross_entropy(logits, torch.from_numpy(masks).long(), reduction="none")
        predicted = logits.argmax(dim=1).numpy().astype(np.uint8)
        counts = count_pixels(predicted, masks, total_classes)[:, None]  # n×1×C×4
        scores[where, 0] = [reduce_score(of_one, "iou", "macro") for of_one in counts]
        scores[where, 1] = [defect_iou(of_one) for of_one in counts]
        scores[where, 2] = loss.mean(dim=(1, 2)).numpy()
    return pd.DataFrame({"id": pairs.ids}).join(pd.DataFrame(scores, columns=list(SCORES)))
