"""How skin and cloth look: colours and small relief from coordinates that move with the surface, and their answer
to light.
"""

import cv2
import numpy as np

# Linear RGB albedos along a scale from light to dark skin, from sRGB swatches chosen by eye.
_TONES = np.array(
    [[224, 184, 162], [214, 168, 138], [198, 144, 112], [178, 122, 88], [142, 92, 64], [104, 66, 46], [74, 46, 34]]
)
TONES = (_TONES / 255.0) ** 2.2
WRAP = np.array([0.30, 0.12, 0.07], np.float32)  # how far light of each colour creeps round the terminator
SCATTER = np.array([1.3, 0.6, 0.4], np.float32)  # blur of the light inside the skin, mm


def tone(rng):
    """A skin albedo (3,) linear RGB, anywhere on the scale."""
    place = rng.uniform(0, len(TONES) - 1)
    low = int(place)
    mixed = TONES[low] + (place - low) * (TONES[min(low + 1, len(TONES) - 1)] - TONES[low])
    return mixed * rng.normal(1, [0.03, 0.025, 0.035])


def scattered(view, size, millimetre, values, reach):
    """Values (N, C) of a view's samples, blurred over the picture's surfaces by ``reach`` (C,) mm, ``millimetre``
    px each.
    """
    field = view.picture(values, size).astype(np.float32)
    spread = np.empty_like(values)
    for channel, sigma in enumerate(np.asarray(reach) * millimetre):
        blurred = cv2.GaussianBlur(np.ascontiguousarray(field[..., [channel, -1]]), (0, 0), max(float(sigma), 0.3))
        blurred = blurred[view.rows, view.cols]
        spread[:, channel] = blurred[:, 0] / blurred[:, 1]
    return spread


def wrapped(cosine):
    """Diffuse light of one direction on skin, (N,) cosines -> (N, 3): red reaches a little beyond the terminator."""
    share = np.clip((cosine[:, None] + WRAP) / (1 + WRAP), 0, 1)
    return share * share * (3 - 2 * share) * 0.35 + share * 0.65


def bounced(openness, albedo):
    """Ambient light with its bounces between near surfaces, (N, 3): creases grow warm, not grey.

    openness (N, 1); the cubic is the fit of Jimenez et al., Practical Realtime Strategies for Accurate Indirect
    Occlusion, 2016.
    """
    a = 2.0404 * albedo - 0.3324
    b = -4.7951 * albedo + 0.6417
    c = 2.7552 * albedo + 0.6903
    return np.maximum(openness, ((openness * a + b) * openness + c) * openness)


def gloss(normals, eye, light, reflectance=0.028):
    """Two normalised Blinn-Phong lobes (skin and its oil) with Schlick's Fresnel term, (N,); unit vectors (N, 3),
    light (3,).
    """
    half = eye + light
    half /= np.sqrt(np.maximum(np.einsum("ni,ni->n", half, half), 1e-12))[:, None]
    facing = np.clip(np.einsum("ni,ni->n", normals, half), 1e-6, 1)
    grazing = reflectance + (1 - reflectance) * (1 - np.clip(np.einsum("ni,ni->n", half, eye), 0, 1)) ** 5
    lobes = (22 + 8) / 8 * facing**22 + 0.35 * (90 + 8) / 8 * facing**90
    return lobes * grazing * np.clip(normals @ light, 0, 1)
