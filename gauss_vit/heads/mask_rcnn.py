"""Mask R-CNN: proposals from a feature pyramid, and of each its class, its box and its mask."""

import dataclasses
import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int32, PRNGKeyArray

from gauss_vit.batches import ObjectTargets
from gauss_vit.errors import ConfigError
from gauss_vit.heads.box_head import BoxHead, BoxPredictor
from gauss_vit.heads.detections import FoundObjects, SampledAnchors, SampledMasks, SampledOutputs, SampledRegions
from gauss_vit.heads.fpn import FPN
from gauss_vit.heads.mask_head import MaskHead, MaskPredictor
from gauss_vit.heads.pyramid import Maps, make_pyramid, strides_of
from gauss_vit.heads.rpn import RPN, AnchorPredictions, RPNHead
from gauss_vit.models.backbone import Backbone, BackboneConfig
from gauss_vit.ops.canvas import is_inside
from gauss_vit.ops.detection.roi_align import roi_align, roi_align_adaptive_levels
from gauss_vit.ops.detection.selection import Detections, Proposals, detect, propose
from gauss_vit.ops.detection.targets import RegionTargets, anchor_targets, mask_targets, region_targets
from gauss_vit.ops.grid import Grid
from gauss_vit.ops.map_resize import size_of

_RPN, _BOX, _MASK = RPNHead(), BoxHead(), MaskHead()


@dataclass(frozen=True, kw_only=True)
class MaskRCNNHead:
    """Config of a Mask R-CNN.

    Attributes:
      num_classes: Number of classes; None takes it from the data when a run starts, which stores it.
      channels: Number of channels of the feature pyramid network.
      samples: Number of samples along each side of a bin of a region; None takes as many as the bin has cells, which
        published weights were trained with, and costs more.
      rpn: Region proposal network.
      box: Box head.
      mask: Mask head; None finds boxes alone, as Faster R-CNN does.

    Raises:
      ConfigError: a value is out of range.

    Source: He et al., Mask R-CNN (ICCV 2017), in the form of MMDetection.
    """

    num_classes: int | None = 80
    channels: int = 256
    samples: int | None = 2
    rpn: RPNHead = _RPN
    box: BoxHead = _BOX
    mask: MaskHead | None = _MASK

    def __post_init__(self):
        for name in ("num_classes", "channels", "samples"):
            value = vars(self)[name]
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}")

    def make(self, backbone: BackboneConfig, *, key: PRNGKeyArray) -> "MaskRCNN":
        """Builds the head for a backbone, with random parameters."""
        return MaskRCNN(self, backbone, key=key)


class MaskRCNN(nnx.Module):
    """Two stages on a feature pyramid: `pyramid`, `fpn`, `rpn`, `box` and, with a mask head, `mask`.

    The proposals are constants for the second stage: no gradient reaches the first one through them. Boxes, their
    selection and the outputs are float32 whatever the activations are.
    """

    def __init__(self, config: MaskRCNNHead, backbone: BackboneConfig, *, key: PRNGKeyArray):
        if config.num_classes is None:
            message = "task.head.num_classes is None, to be taken from the data, which are not read here"
            raise ConfigError(message, do="set it, or use the run's own config, --config=WORKDIR/config.json")
        keys, channels, num_classes = jax.random.split(key, 5), config.channels, config.num_classes
        self.pyramid = make_pyramid(backbone, key=keys[0])
        self.fpn = FPN(self.pyramid.widths, channels, key=keys[1])
        self.rpn = RPN(config.rpn, channels, key=keys[2])
        self.box = BoxPredictor(config.box, channels, num_classes=num_classes, key=keys[3])
        mask = config.mask
        self.mask = None if mask is None else MaskPredictor(mask, channels, num_classes=num_classes, key=keys[4])
        strides = strides_of(backbone)
        self.anchors = config.rpn.anchors((*strides, 2 * strides[-1]))
        self.config = config

    def __call__(
        self, backbone: Backbone, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None
    ) -> FoundObjects:
        """Finds the objects in normalised images without padding.

        Raises:
          ValueError: there is a key: training needs the objects, and `with_targets`.
        """
        if key is not None:
            raise ValueError("a detector is trained with the objects of the images: call with_targets")
        size = jnp.tile(jnp.asarray([size_of(images)], jnp.int32), (len(images), 1))
        return self.find(self.maps(backbone, images), size, image_size=size_of(images))

    def with_targets(
        self,
        backbone: Backbone,
        images: Float[Array, "batch height width 3"],
        targets: ObjectTargets,
        *,
        key: PRNGKeyArray | None = None,
    ) -> SampledOutputs | FoundObjects:
        """Finds the objects in padded images or, with a key, compares samples of anchors and regions with the objects.

        Args:
          backbone: The backbone.
          images: Normalised images; what is outside their size is set to zero.
          targets: Objects, of which inference reads the size of the images alone.
          key: Draws the samples, and enables stochastic depth.
        """
        image_size = size_of(images)
        images = jnp.where(is_inside(targets.size, image_size)[..., None], images, 0)
        if key is None:
            return self.find(self.maps(backbone, images), targets.size, image_size=image_size)
        backbone_key, anchor_key, region_key = jax.random.split(key, 3)
        num_anchors = sum(map(len, self.anchors.boxes(image_size)))
        num_regions = targets.label.shape[1] + self.config.rpn.num_proposals
        return self.sample(
            self.maps(backbone, images, key=backbone_key),
            targets,
            image_size=image_size,
            anchor_priority=jax.random.uniform(anchor_key, (len(images), num_anchors), jnp.float32),
            region_priority=jax.random.uniform(region_key, (len(images), num_regions), jnp.float32),
        )

    def maps(
        self, backbone: Backbone, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None
    ) -> Maps:
        """Computes the maps of the feature pyramid network, the finest first; the coarsest is for anchors alone."""
        return self.fpn(self.pyramid(backbone, images, key=key))

    def find(self, maps: Maps, size: Int32[Array, "batch 2"], *, image_size: Grid) -> FoundObjects:
        """Finds the objects.

        Args:
          maps: Maps of the feature pyramid network.
          size: The (height, width) of each image without padding.
          image_size: That of the padded batch.

        Returns:
          Objects, whose scores are NaN in an image of which an output is.
        """
        config = self.config
        proposals = self.propose(
            self.rpn(maps), size, image_size=image_size, num_before=config.rpn.num_before_inference
        )
        logits, codes = self.box(self.regions(maps, proposals.yxyx, bins=self.box.bins))
        choose = functools.partial(
            detect,
            limit=config.box.limit,
            num_candidates=config.box.num_candidates,
            score_floor=config.box.score_floor,
            threshold=config.box.overlap,
        )
        objects = jax.vmap(choose)(proposals, logits, codes, size.astype(jnp.float32))
        # Comparisons with NaN are false: without this, a model that is broken would find nothing.
        is_broken = jnp.any(jnp.isnan(logits), axis=(1, 2)) | jnp.any(jnp.isnan(codes), axis=(1, 2, 3))
        is_broken &= size[:, 0] > 0
        score = jnp.where(is_broken[:, None], jnp.nan, objects.score)
        objects = dataclasses.replace(objects, score=score)
        return FoundObjects(objects=objects, masks=self._masks(maps, objects))

    def sample(
        self,
        maps: Maps,
        targets: ObjectTargets,
        *,
        image_size: Grid,
        anchor_priority: Float[Array, "batch anchors"],
        region_priority: Float[Array, "batch regions"],
    ) -> SampledOutputs:
        """Computes what the losses compare, for samples of anchors and regions.

        Args:
          maps: Maps of the feature pyramid network.
          targets: Objects.
          image_size: The (height, width) of the padded batch.
          anchor_priority: Uniform random numbers, of which the lowest are sampled.
          region_priority: The same for the rows of objects, then for the proposals.
        """
        predictions = self.rpn(maps)
        proposals = self.propose(
            predictions, targets.size, image_size=image_size, num_before=self.config.rpn.num_before
        )
        sampling = self.config.box.sampling
        of_image = functools.partial(region_targets, num_classes=self.box.num_classes, sampling=sampling)
        chosen = jax.vmap(of_image)(proposals, targets.boxes.yxyx, targets.label, priority=region_priority)
        return SampledOutputs(
            anchors=self._sampled_anchors(predictions, targets, image_size=image_size, priority=anchor_priority),
            regions=self._sampled_regions(maps, chosen),
            masks=self._sampled_masks(maps, chosen, targets),
        )

    def propose(
        self, predictions: AnchorPredictions, size: Int32[Array, "batch 2"], *, image_size: Grid, num_before: int
    ) -> Proposals:
        """Chooses the proposals of every image.

        Args:
          predictions: Predictions at the anchors.
          size: The (height, width) of each image without padding.
          image_size: That of the padded batch.
          num_before: Largest number of boxes of a level that suppression compares.
        """
        predictions, config = jax.lax.stop_gradient(predictions), self.config.rpn
        anchors = [jnp.asarray(boxes) for boxes in self.anchors.boxes(image_size)]

        def of_image(predictions: AnchorPredictions, size: Float[Array, "2"]) -> Proposals:
            return propose(
                predictions.logits,
                predictions.codes,
                anchors,
                size,
                num_before=num_before,
                num_after=config.num_proposals,
                threshold=config.overlap,
            )

        return jax.vmap(of_image)(predictions, size.astype(jnp.float32))

    def regions(
        self, maps: Maps, yxyx: Float[Array, "batch boxes 4"], *, bins: int
    ) -> Float[Array, "batch boxes bins bins channels"]:
        """Computes the features of boxes, in the dtype of the maps.

        Args:
          maps: Maps of the feature pyramid network.
          yxyx: Boxes in pixels of the padded images.
          bins: Number of bins along each side.
        """
        levels, strides, samples = maps[:-1], self.anchors.strides[:-1], self.config.samples
        if samples is None:
            align = functools.partial(roi_align_adaptive_levels, strides=strides, bins=bins)
        else:
            align = functools.partial(roi_align, strides=strides, bins=bins, samples=samples)
        return jax.vmap(align)(levels, yxyx).astype(maps[0].dtype)

    def _masks(self, maps: Maps, objects: Detections) -> Float[Array, "batch objects cells cells"] | None:
        """Computes the probability of each cell of the detections, 0 in padding."""
        if self.mask is None:
            return None
        logits = self.mask(self.regions(maps, objects.yxyx, bins=self.mask.bins))
        probability = jax.nn.sigmoid(_of_class(logits, objects.label))
        return jnp.where(objects.is_real[..., None, None], probability, 0)

    def _sampled_anchors(
        self,
        predictions: AnchorPredictions,
        targets: ObjectTargets,
        *,
        image_size: Grid,
        priority: Float[Array, "batch anchors"],
    ) -> SampledAnchors:
        anchors = jnp.concatenate([jnp.asarray(boxes) for boxes in self.anchors.boxes(image_size)])
        is_anchor = jnp.concatenate(self.anchors.is_inside(image_size, targets.size), axis=1)
        of_image = functools.partial(anchor_targets, anchors, sampling=self.config.rpn.sampling)
        chosen = jax.vmap(of_image)(targets.boxes.yxyx, is_inside=is_anchor, priority=priority)
        logits, codes = jnp.concatenate(predictions.logits, axis=1), jnp.concatenate(predictions.codes, axis=1)
        index = chosen.sample.index
        return SampledAnchors(
            index=index,
            logit=jnp.take_along_axis(logits, index, axis=1),
            code=jnp.take_along_axis(codes, index[..., None], axis=1),
            target=chosen.code,
            is_positive=chosen.sample.is_positive,
            is_real=chosen.sample.is_real,
        )

    def _sampled_regions(self, maps: Maps, chosen: RegionTargets) -> SampledRegions:
        logits, codes = self.box(self.regions(maps, chosen.yxyx, bins=self.box.bins))
        return SampledRegions(
            yxyx=chosen.yxyx,
            logits=logits,
            code=_of_class(jnp.swapaxes(codes, 2, 3), chosen.label),
            target=chosen.code,
            label=chosen.label,
            is_positive=chosen.sample.is_positive,
            is_real=chosen.sample.is_real,
        )

    def _sampled_masks(self, maps: Maps, chosen: RegionTargets, targets: ObjectTargets) -> SampledMasks | None:
        """Takes the regions of objects, which are the first."""
        if self.mask is None:
            return None
        chosen = jax.tree.map(lambda leaf: leaf[:, : self.config.box.sampling.num_positives], chosen)
        logits = self.mask(self.regions(maps, chosen.yxyx, bins=self.mask.bins))
        of_image = functools.partial(mask_targets, size=logits.shape[2])
        target = jax.vmap(of_image)(chosen, targets.boxes.yxyx, targets.masks)
        return SampledMasks(logits=_of_class(logits, chosen.label), target=target, is_real=chosen.sample.is_positive)


def _of_class(
    values: Float[Array, "batch boxes *cells classes"], label: Int32[Array, "batch boxes"]
) -> Float[Array, "batch boxes *cells"]:
    """Selects the values of a box's class; zeros for a label that is not a class.

    By comparison: on accelerators the gradient of an index is a slow scatter.
    """
    label = label.reshape(*label.shape, *(1,) * (values.ndim - label.ndim))
    classes = jnp.arange(values.shape[-1], dtype=jnp.int32).reshape(*(1,) * (values.ndim - 1), -1)
    return jnp.sum(jnp.where(label == classes, values, 0), axis=-1)
