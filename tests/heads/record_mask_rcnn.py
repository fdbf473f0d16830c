"""Records what MMDetection's Mask R-CNN on Swin computes on deterministic weights, for machines without torch.

Run it where `tests.heads.mmdet_models` can be imported:  python -m tests.heads.record_mask_rcnn
It writes tests/heads/mask_rcnn_reference.npz, of the model and the images of `tests.heads.mask_rcnn_case`, in the
conventions of this package: channels last; boxes y0 x0 y1 x1; codes dy dx dh dw; objects by index, -1 for background,
-2 for what is ignored or outside the image. Names with `.0` and `.1` at the end are of an image:

  names, shapes                           of the tensors of the model; all below that have a `.NAME` are by these names
  anchors.L, map.L                        of the anchors, whole; of the stages, samples
  fpn.L, rpn_logits.L, rpn_codes.L        by level, whole
  inside.I (bits), rpn_matched.I, rpn_positive.I, rpn_negative.I       anchors: candidates, objects, those sampled
  train_proposals.I, train_scores.I       and test_*: boxes and scores
  box_matched.I, box_positive.I, box_negative.I                        objects and then proposals, as the anchors
  rpn_targets.I, box_targets.I            codes of the objects of the positive ones
  rois, roi_images, roi_levels, class_targets                          the sampled regions of both images
  box_features (every third bin), class_logits, box_codes
  mask_features (every sixth bin), mask_logits (of the object's class), mask_targets (bits)   of positive ones
  loss.NAME, gradient (of the images), gradient.NAME                   of the sum of the losses, samples
  test_class_logits.I, test_box_codes.I
  detections.I, scores.I, labels.I        boxes in pixels of the original image
  probabilities.I, masks.I (bits)         of the class in the box, and pasted into the original image
"""

from pathlib import Path

import numpy as np
import torch

from tests.heads import mask_rcnn_case as case
from tests.heads.mmdet_config import config
from tests.heads.mmdet_models import (
    MODELS,
    TASK_UTILS,
    BitmapMasks,
    ConfigDict,
    DetDataSample,
    InstanceData,
    RandomSampler,
)
from tests.models.deterministic import sample

REFERENCE = Path(__file__).with_name("mask_rcnn_reference.npz")
_YXYX = [1, 0, 3, 2]
_LEVELS = 5


@TASK_UTILS.register_module()
class PrioritySampler(RandomSampler):
    """Takes the candidates of the lowest priorities of the case in place of random ones, and keeps what it saw."""

    def __init__(self, *, stage: str, **options: object):
        super().__init__(**options)
        self.stage, self.results, self.matched = stage, [], []

    def sample(self, assign_result, *arguments, **options):
        result = super().sample(assign_result, *arguments, **options)
        self.results.append(result)
        self.matched.append(assign_result.gt_inds)
        return result

    def _sample_pos(self, assign_result, num_expected, **_):
        return self._lowest(assign_result.gt_inds > 0, num_expected)

    def _sample_neg(self, assign_result, num_expected, **_):
        return self._lowest(assign_result.gt_inds == 0, num_expected)

    def _lowest(self, is_candidate: torch.Tensor, number: int) -> torch.Tensor:
        priority = torch.from_numpy(case.priorities(self.stage, len(self.results), len(is_candidate)))
        places = torch.nonzero(is_candidate).flatten()
        return places[torch.argsort(priority[places], stable=True)[:number]]


def model_of() -> torch.nn.Module:
    """Builds the model with its deterministic weights."""
    model = MODELS.build(ConfigDict(config()))
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    tensors = {name: torch.from_numpy(case.tensor(name, shape)) for name, shape in shapes.items()}
    model.load_state_dict(tensors, strict=True)
    return model


def inputs() -> dict:
    """Returns the images with their objects, as MMDetection's preprocessor takes them."""
    samples = []
    for image, scale in zip(case.IMAGES, case.scales(), strict=True):
        shapes = {"img_shape": image.size, "ori_shape": image.original_size, "scale_factor": tuple(scale[::-1])}
        found = DetDataSample(metainfo=shapes)
        found.gt_instances = InstanceData(
            bboxes=_boxes(image.boxes),
            labels=torch.tensor(image.labels),
            masks=BitmapMasks(image.masks().astype(np.uint8), *image.size),
        )
        found.ignored_instances = InstanceData(bboxes=_boxes(image.crowds))
        samples.append(found)
    images = [torch.from_numpy(image.pixels()).permute(2, 0, 1).float() for image in case.IMAGES]
    return {"inputs": images, "data_samples": samples}


class Calls:
    """The arguments and the result of the last call of methods, by name."""

    def __init__(self):
        self.arguments, self.results = {}, {}

    def watch(self, owner: object, method: str, name: str) -> None:
        original = getattr(owner, method)

        def wrapped(*arguments, **options):
            result = original(*arguments, **options)
            self.arguments[name], self.results[name] = (*arguments, *options.values()), result
            return result

        setattr(owner, method, wrapped)


def watched(model: torch.nn.Module) -> Calls:
    """Watches what cannot be seen in the losses and the predictions."""
    calls, rpn, heads = Calls(), model.rpn_head, model.roi_head
    for owner, method, name in (
        (model.neck, "forward", "fpn"),
        (rpn, "forward", "rpn"),
        (rpn, "get_anchors", "anchors"),
        (rpn, "get_targets", "rpn_targets"),
        (rpn, "predict_by_feat", "proposals"),
        (heads, "_bbox_forward", "box"),
        (heads.bbox_head, "get_targets", "box_targets"),
        (heads, "_mask_forward", "mask"),
        (heads.mask_head, "get_targets", "mask_targets"),
    ):
        calls.watch(owner, method, name)
    return calls


def trained(model: torch.nn.Module) -> dict[str, np.ndarray]:
    """Returns everything of a step of training, by name."""
    calls = watched(model.train())
    data = model.data_preprocessor(inputs(), training=True)
    images = data["inputs"].requires_grad_()
    np.testing.assert_allclose(_last(images), case.batch(), rtol=0, atol=1e-6)
    losses = {name: _sum(value) for name, value in model.loss(images, data["data_samples"]).items() if "loss" in name}
    sum(losses.values()).backward()
    gradients = {f"gradient.{name}": sample(_array(value.grad)) for name, value in model.named_parameters()}
    return {
        **_maps(calls),
        **_anchors(model, calls),
        **_samples("box", model.roi_head.bbox_sampler),
        **_proposals_of("train", calls),
        **_regions(model, calls),
        **{f"loss.{name}": _array(value) for name, value in losses.items()},
        "gradient": sample(_last(images.grad)),
        **gradients,
    }


def tested(model: torch.nn.Module) -> dict[str, np.ndarray]:
    """Returns everything of a prediction, by name."""
    calls = watched(model.eval())
    data = model.data_preprocessor(inputs(), training=False)
    with torch.no_grad():
        predicted = model.predict(data["inputs"], data["data_samples"], rescale=True)
    found = _proposals_of("test", calls)
    images = calls.arguments["box"][1][:, 0]
    logits, codes = (calls.results["box"][name] for name in ("cls_score", "bbox_pred"))
    counts = [len(each.pred_instances) for each in predicted]
    masks = calls.results["mask"]["mask_preds"].split(counts)
    for index, each in enumerate(predicted):
        instances = each.pred_instances
        found |= {
            f"test_class_logits.{index}": _array(logits[images == index]),
            f"test_box_codes.{index}": _codes(codes[images == index]),
            f"detections.{index}": _yxyx(instances.bboxes),
            f"scores.{index}": _array(instances.scores),
            f"labels.{index}": _array(instances.labels),
            f"probabilities.{index}": _array(_of_class(masks[index], instances.labels).sigmoid()),
            f"masks.{index}": np.packbits(_array(instances.masks)),
        }
    return found


def _maps(calls: Calls) -> dict[str, np.ndarray]:
    """Returns the maps of the stages and of the pyramid, and what the RPN makes of these."""
    (stages,), fpn, (logits, codes) = calls.arguments["fpn"], calls.results["fpn"], calls.results["rpn"]
    found = {f"map.{level}": sample(_last(value)) for level, value in enumerate(stages)}
    for level in range(_LEVELS):
        flat = _last(codes[level])
        found |= {
            f"fpn.{level}": _last(fpn[level]),
            f"rpn_logits.{level}": _last(logits[level]).reshape(len(flat), -1),
            f"rpn_codes.{level}": flat.reshape(len(flat), -1, 4)[..., _YXYX],
        }
    return found


def _anchors(model: torch.nn.Module, calls: Calls) -> dict[str, np.ndarray]:
    """Returns which anchors are candidates, what they are matched to and which are sampled, among all anchors."""
    found = _samples("rpn", model.rpn_head.sampler)
    anchors, flags = calls.results["anchors"]
    codes = np.concatenate([_array(level) for level in calls.results["rpn_targets"][2]], axis=1)[..., _YXYX]
    for index, levels in enumerate(flags):
        places = np.flatnonzero(_array(torch.cat(levels)))
        matched = np.full(len(torch.cat(levels)), -2, np.int8)
        matched[places] = found[f"rpn_matched.{index}"]
        positive, negative = (places[found[f"rpn_{kind}.{index}"]] for kind in ("positive", "negative"))
        found |= {
            f"inside.{index}": np.packbits(_array(torch.cat(levels))),
            f"rpn_matched.{index}": matched,
            f"rpn_positive.{index}": positive,
            f"rpn_negative.{index}": negative,
            f"rpn_targets.{index}": codes[index, positive],
        }
    found |= {f"anchors.{level}": _yxyx(value) for level, value in enumerate(anchors[0])}
    return found


def _samples(stage: str, sampler: PrioritySampler) -> dict[str, np.ndarray]:
    """Returns what the candidates are matched to, and the places of those that are sampled, in their order."""
    found = {}
    for index, (matched, result) in enumerate(zip(sampler.matched, sampler.results, strict=True)):
        objects = _array(matched)
        found |= {
            f"{stage}_matched.{index}": np.where(objects > 0, objects - 1, np.where(objects == 0, -1, -2)),
            f"{stage}_positive.{index}": _array(result.pos_inds),
            f"{stage}_negative.{index}": _array(result.neg_inds),
        }
    return found


def _proposals_of(form: str, calls: Calls) -> dict[str, np.ndarray]:
    """Returns the proposals; the head has renamed their boxes in training."""
    found, name = {}, {"train": "priors", "test": "bboxes"}[form]
    for index, proposals in enumerate(calls.results["proposals"]):
        found |= {
            f"{form}_proposals.{index}": _yxyx(proposals[name]),
            f"{form}_scores.{index}": _array(proposals.scores),
        }
    return found


def _regions(model: torch.nn.Module, calls: Calls) -> dict[str, np.ndarray]:
    """Returns the sampled regions, what the heads make of them, and what they are to learn."""
    rois, box, mask = calls.arguments["box"][1], calls.results["box"], calls.results["mask"]
    labels, _, codes, _ = calls.results["box_targets"]
    is_object = labels < case.NUM_CLASSES
    return {
        "rois": _yxyx(rois[:, 1:]),
        "roi_images": _array(rois[:, 0]).astype(np.int64),
        "roi_levels": _array(model.roi_head.bbox_roi_extractor.map_roi_levels(rois, 4)),
        "class_targets": _array(labels),
        **_targets_of("box", codes[is_object], rois[is_object][:, 0]),
        "box_features": _last(box["bbox_feats"])[:, ::3, ::3],
        "class_logits": _array(box["cls_score"]),
        "box_codes": _codes(box["bbox_pred"]),
        "mask_features": _last(mask["mask_feats"])[:, ::6, ::6],
        "mask_logits": _array(_of_class(mask["mask_preds"], labels[is_object])),
        "mask_targets": np.packbits(_array(calls.results["mask_targets"]).astype(bool)),
    }


def _targets_of(stage: str, deltas: torch.Tensor, images: torch.Tensor) -> dict[str, np.ndarray]:
    """Returns the codes of the objects of positive boxes, by image."""
    codes = _array(deltas)[:, _YXYX]
    return {f"{stage}_targets.{index}": codes[_array(images) == index] for index in range(len(case.IMAGES))}


def _of_class(masks: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return masks[torch.arange(len(labels)), labels]


def _boxes(yxyx: tuple[tuple[float, ...], ...]) -> torch.Tensor:
    """Converts boxes to MMDetection's order."""
    return torch.tensor(yxyx, dtype=torch.float32).reshape(-1, 4)[:, _YXYX]


def _yxyx(boxes: torch.Tensor) -> np.ndarray:
    """Converts boxes of MMDetection."""
    return _array(boxes)[:, _YXYX].astype(np.float32)


def _codes(deltas: torch.Tensor) -> np.ndarray:
    """Converts the deltas of all classes to codes [boxes, classes, 4]."""
    return _array(deltas).reshape(len(deltas), -1, 4)[..., _YXYX]


def _last(value: torch.Tensor) -> np.ndarray:
    """Converts maps [batch, channels, height, width]."""
    return np.ascontiguousarray(np.moveaxis(_array(value), 1, -1))


def _array(value: torch.Tensor) -> np.ndarray:
    return value.detach().numpy()


def _sum(value: torch.Tensor | list[torch.Tensor]) -> torch.Tensor:
    return sum(value) if isinstance(value, list) else value


def main() -> None:
    """Writes the record."""
    model = model_of()
    state = model.state_dict()
    found = {
        "names": np.array(list(state)),
        "shapes": np.array(["x".join(str(size) for size in value.shape) for value in state.values()]),
        **trained(model),
    }
    # Of a model of its own, as what it calls is watched.
    found |= tested(model_of())
    np.savez_compressed(REFERENCE, **found)


if __name__ == "__main__":
    main()
