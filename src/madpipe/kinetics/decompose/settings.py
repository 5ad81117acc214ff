"""Settings of the decomposition."""

from typing import Literal

from pydantic import Field

from madpipe.base.config import Model


class ComponentSettings(Model):
    """What is known of one component beforehand; the rest is free."""

    name: str = Field("component", min_length=1, description="of the component, in tables and figures")
    d_max: float | None = Field(
        None, gt=0, description="largest distance in the particle, which then has a P(r) [angstrom]"
    )
    profile_penalty: float | None = Field(
        None, ge=0, description="of the second difference of P(r), else by 10 effective parameters [1]"
    )
    positive_pair_distance: bool = Field(False, description="P(r) is not negative")
    positive_profile: bool = Field(True, description="the curve is not negative; false for differences of curves")
    positive_concentration: bool = Field(True, description="the concentration is not negative")
    first_frame: int | None = Field(None, ge=0, description="of its range, among the frames that are analysed, from 0")
    stop_frame: int | None = Field(None, ge=1, description="after its range, among the frames that are analysed")
    unimodal: bool = Field(False, description="its concentration has one maximum")
    in_closure: bool = Field(True, description="counts where closure is asked for; false for a buffer or a drift")
    at_first: float | None = Field(None, description="its concentration in the first frame [1]")
    at_last: float | None = Field(None, description="its concentration in the last frame [1]")
    zero_first: bool = Field(False, description="a smooth concentration begins at zero, at the first node")
    zero_last: bool = Field(False, description="a smooth concentration ends at zero, at the last node")
    constant_in_q: bool = Field(False, description="its curve is flat: a buffer that drifts")


class DecomposeSettings(Model):
    """Decomposition of a series into components."""

    rank: int | None = Field(None, ge=1, le=8, description="number of components, else by parallel analysis")
    buffer: tuple[int, int] | None = Field(
        None, description="first and stop of the frames whose mean is subtracted, else the curves have no buffer"
    )
    subtracted_frames: int = Field(
        0, ge=0, description="frames of the buffer that was subtracted before, whose noise all frames have; 0 for none"
    )
    frames: tuple[int, int] | None = Field(None, description="first and stop of the frames that are analysed, else all")
    q_min: float = Field(0.0, ge=0, description="[1/angstrom]")
    q_max: float | None = Field(None, gt=0, description="[1/angstrom]")
    components: tuple[ComponentSettings, ...] = Field(
        (), max_length=8, description="what is known of each, else as many as the rank, of which nothing is known"
    )
    closure: bool = Field(
        False, description="concentrations add up to 1: nothing comes or goes, and the beam is steady"
    )
    ranges: Literal["free", "evolving"] = Field(
        "free", description="evolving: each component is zero outside its edges by evolving factor analysis"
    )
    unimodal: bool = Field(False, description="every concentration has one maximum, as in chromatography")
    smooth: Literal["none", "time", "log_time"] = Field("none", description="axis on which concentrations are smooth")
    smooth_ends: tuple[float, float] | None = Field(
        None, description="times of the first and last node, else those of the first and last frame [s]"
    )
    smooth_penalty: float | None = Field(
        None, ge=0, description="of the second difference of a smooth concentration, else by smooth_parameters [1]"
    )
    smooth_parameters: float | None = Field(None, gt=2, description="effective number, else 0.8 of those possible [1]")
    nodes: int = Field(31, ge=4, le=200, description="of a smooth concentration")
    known: Literal["none", "first", "last", "ends"] = Field(
        "none",
        description="frames that hold one component alone: the first frame the first one, the last frame the last one",
    )
    scale_order: int | None = Field(
        None,
        ge=0,
        le=12,
        description="scale each frame so that its sum over q lies on a polynomial of this order in log time, as REGALS "
        "does, else frames stay as they are",
    )
    iterations: int = Field(400, ge=1, description="of the alternating least squares at most")
    change: float = Field(1e-5, ge=0, description="of chi-square over ten iterations at which they end, relative [1]")
    bands: bool = Field(True, description="search the extremes of every component over all solutions")
    draws: int = Field(12, ge=3, description="of noise, for the rank")
    deviations: float = Field(4.0, gt=0, description="of the draws, above their mean, that a component must reach [1]")
    seed: int = Field(1, ge=0, description="of the draws of noise")
