"""What the figures of a set of still images are drawn from."""

from dataclasses import dataclass, field

from madpipe.stills.config import StillsFitConfig
from madpipe.stills.geometry import Crystal
from madpipe.stills.index.spots import Spots, find_spots
from madpipe.stills.measured.images import Images
from madpipe.stills.records import StillsTruth
from madpipe.stills.scene import StructureFactors
from madpipe.stills.scores.validate import Answers


@dataclass(frozen=True)
class Drawn:
    """A set of images and what was made of it."""

    title: str
    images: Images
    crystals: tuple[Crystal | None, ...]  # of each image: as indexed, or as they came
    answers: Answers
    truth: StillsTruth | None
    fit: StillsFitConfig
    factors: StructureFactors | None = None  # that the pixels were fitted with; None: all alike
    found: dict[int, Spots] = field(default_factory=dict)  # spots by the number of the image, once they are asked for

    def spots(self, number: int) -> Spots:
        """Find the spots of an image, once for all figures."""
        if number not in self.found:
            self.found[number] = find_spots(self.images[number])
        return self.found[number]
