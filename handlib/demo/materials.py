"""What a surface of a demo picture is made of: its colour, small relief and gloss at a point. Imports no torch."""

import dataclasses

import numpy as np

from handlib.demo import textiles
from handlib.demo.noise import Noise

_EDGE = 8e-4  # m over which one colour goes over into the next: about a pixel
_NOISE = Noise(7, channels=3)


@dataclasses.dataclass(frozen=True)
class Skin:
    """A person's skin: albedo (3,) linear RGB, how blotchy, how oily."""

    tone: np.ndarray
    mottling: float
    gloss: float

    def paint(self, detail, at_rest, finger):
        """Points as of ``Detail.at_rest`` (N, 7), fingers (N,) -> albedo (N, 3), relief (N, 3), shine (N,)."""
        albedo, relief, shine = detail.paint(at_rest, finger, self.tone, self.mottling)
        return albedo, relief, self.gloss * shine


@dataclasses.dataclass(frozen=True)
class Cloth:
    """A garment: plain, stripes or plaid of colours (P, 3), linear RGB."""

    pattern: str
    colours: np.ndarray

    def paint(self, detail, at_rest, finger):
        """Points on the cloth (N, 7), see ``textiles.weave``; as ``Skin.paint``, without shine."""
        return *textiles.weave(at_rest[:, :3], self.pattern, self.colours), np.zeros(len(at_rest), np.float32)


@dataclasses.dataclass(frozen=True)
class Zone:
    """A box in an object's own frame, low and high (3,) m, and what the surface in it looks like."""

    low: np.ndarray
    high: np.ndarray
    colour: np.ndarray
    gloss: float = 1.0
    metal: bool = False


@dataclasses.dataclass(frozen=True)
class Solid:
    """Paint, ceramic, wood, metal: a base colour (3,) linear RGB, zones painted over it in turn.

    reflectance: at right angles; sharpness: the exponent of its highlights; roughness: of the relief; streaks: how
    much the colour varies, like wood, and ``fibre`` in how many cells per metre along x, y and z.
    """

    colour: np.ndarray
    zones: tuple = ()
    reflectance: float = 0.045
    sharpness: float = 100.0
    roughness: float = 0.004
    streaks: float = 0.0
    fibre: tuple = (420, 420, 14)

    def paint(self, detail, at_rest, finger):
        """Points in the object's frame, the first 3 of 7 columns; as ``Skin.paint``. Shine below 0: metal."""
        place = at_rest[:, :3]
        albedo = np.broadcast_to(self.colour.astype(np.float32), place.shape).copy()
        if self.streaks:
            albedo *= 1 + self.streaks * _NOISE(place * np.array(self.fibre, np.float32))[:, :1]
        shine = np.ones(len(place), np.float32)
        for zone in self.zones:
            depth = np.minimum(place - zone.low, zone.high - place).min(1)
            share = np.clip(0.5 + depth / _EDGE, 0, 1)[:, None].astype(np.float32)
            albedo += share * (zone.colour.astype(np.float32) - albedo)
            shine[depth > 0] = -zone.gloss if zone.metal else zone.gloss
        relief = self.roughness * _NOISE(place * 700) if self.roughness > 0.01 else np.zeros_like(place)
        return np.clip(albedo * (1 + 0.03 * _NOISE(place * 60)[:, :1]), 0.004, 0.95), relief.astype(np.float32), shine

    def leaving(self, matt, normals, eye, up, shine, albedo, lights, sky):
        """All light (N, 3) that leaves the surface: ``matt`` light and what its gloss throws back.

        Unit vectors normals, eye (N, 3) and up (3,); shine, albedo of ``paint``; lights: [(axis, colour, seen (N,))];
        sky (N, 3): the part of it that is seen.
        """
        metal = (shine < 0)[:, None]
        base = np.where(metal, albedo, self.reflectance)
        facing = np.clip((normals * eye).sum(1), 0, 1)[:, None]
        fresnel = base + (1 - base) * (1 - facing) ** 5
        height = ((2 * facing * normals - eye) @ up)[:, None]  # of where the eye's ray goes on
        panorama = np.where(height > 0, 0.5 + 1.1 * height**2, 0.5 * np.exp(3 * np.minimum(height, 0)))
        gloss = fresnel * panorama * sky
        for axis, colour, seen in lights:
            half = _unit(eye + axis)
            lobe = (self.sharpness + 8) / 8 * np.clip((normals * half).sum(1), 0, 1) ** self.sharpness
            gloss += 0.4 * (lobe * np.clip(normals @ axis, 0, 1) * seen)[:, None] * fresnel * colour
        return np.where(metal, 0.25, 1) * matt + np.abs(shine)[:, None] * gloss


def _unit(vectors):
    return vectors / np.sqrt(np.maximum(np.einsum("ni,ni->n", vectors, vectors), 1e-12))[:, None]
