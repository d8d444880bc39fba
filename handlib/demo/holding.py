"""What the demo's people do with things: hold, use, lift them, hand them over; seen by four cameras at once.

World frame as in ``poses``: metres, x to the right and y down as the middle camera sees it, z away from it.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from handlib import bodies
from handlib.bodies import free
from handlib.demo import objects, scene, solids
from handlib.demo.contact import overlap
from handlib.demo.grasps import GRIPS, Closing
from handlib.demo.poses import CENTRE, between

_PULL = np.array([-0.45, 0.6, 0.5])  # the usual way from a right hand to its elbow
_RETREAT = np.array([0.45, 0.9, 0.0])  # the way, in the hand's frame, on which it comes to a thing, backwards
_CLEAR = 0.008  # m
# Azimuth from the usual person's front towards -x (rad); the order is that of OakInk's cameras.
_AZIMUTHS = {"north_east": -0.6, "south_east": 0.02, "north_west": 1.5, "south_west": 0.75}
_TABLE, _UPRIGHT = np.array([-0.08, 0.27, 0.88]), np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # z upwards
_STILL = np.eye(3), np.zeros(3)
_GRIPS = {  # a thing's grips, for one person and (giver, receiver) for two
    "bottle": ("bottle", ("bottle_low", "bottle_top")),
    "hammer": ("hammer", ("hammer_top", "hammer_low")),
}
_LEAN = {"bottle": 0.9, "mug": 0.5, "can": 0.6}  # rad by which a thing is tilted in use, like to drink or pour


@dataclasses.dataclass(frozen=True)
class Plan:
    """One sequence to be: the thing, what is done with it ("use", "hold", "liftup", "handover"), and by whom.

    people: the numbers of one person, or of giver and receiver.
    """

    thing: str
    intent: str
    people: tuple

    @property
    def grips(self):
        """The Grip of each person."""
        alone, pair = _GRIPS.get(self.thing, (self.thing, None))
        return tuple(GRIPS[name] for name in (pair if len(self.people) > 1 else (alone,)))


class Held(NamedTuple):
    """A right hand in the world: rotation of the wrist (3, 3), fingers (45,) rad, whole, shape (10,), place of the
    wrist (3,) m; mesh (778, 3) and the model's joints (16, 3), m.
    """

    wrist: np.ndarray
    fingers: np.ndarray
    shape: np.ndarray
    place: np.ndarray
    verts: np.ndarray
    joints: np.ndarray


class Moment(NamedTuple):
    """Hands (Held), one per person, and the thing (its name) with its rotation (3, 3) and place (3,) m, world; what
    the renderer needs of them; the azimuth of the second person, None without one.
    """

    hands: tuple
    thing: str
    turn: np.ndarray
    place: np.ndarray
    azimuth: float | None


class People:
    """The free right hand, many persons': draws their shapes and looks, and makes them hold things."""

    def __init__(self, seed, count):
        self._layer = bodies.load(None, "mano_right", dtype=torch.float64)
        self._closing = Closing(self._layer, free.demo_poses("right"))
        self._faces = self._layer.faces.numpy()
        draws = [np.random.default_rng([seed, 5, number]) for number in range(count)]
        self.shapes = [np.clip(rng.normal(0, 0.8, 10), -2, 2) for rng in draws]
        self.looks = [scene.look(rng) for rng in draws]

    def grasps(self, plans):
        """For each Plan the Grasp of each of its people."""
        grips = [grip for plan in plans for grip in plan.grips]
        who = [person for plan in plans for person in plan.people]
        found = iter(self._closing.settle(grips, [self.shapes[person] for person in who]))
        return [tuple(next(found) for _ in plan.people) for plan in plans]

    def moments(self, plan, grasps, count, rng):
        """``count`` Moments of one Plan, in order."""
        first = self._placed(plan, grasps[0], rng)
        spin = rng.uniform(0, 2 * np.pi) if plan.grips[0].spin else 0.0
        second = self._receiver(plan, grasps, first, rng) if len(plan.people) > 1 else None
        sway, drift = rng.normal(0, 0.12, 3), rng.normal(0, 0.02, 3)
        drift = drift - [0, 0.05, 0] if plan.intent == "liftup" else drift
        moments = []
        for number, t in enumerate((np.arange(count) + rng.uniform(0.2, 0.8, count)) / count - 0.5):
            motion = Rotation.from_rotvec(t * sway).as_matrix(), t * drift
            thing = first[0] @ grasps[0].turn @ _about_z(spin), first[0] @ grasps[0].shift + first[1]
            turn, place = motion[0] @ thing[0], motion[0] @ (thing[1] - CENTRE) + CENTRE + motion[1]
            hands = [self._hand(plan.people[0], grasps[0].pose, *first, motion)]
            if second and number < count // 2:
                hands.append(self._reaching(plan, grasps[1], second, motion, turn, place))
            elif second:
                hands.append(self._hand(plan.people[1], grasps[1].pose, *second[:2], motion))
            moments.append(Moment(tuple(hands), plan.thing, turn, place, second[2] if second else None))
        return moments

    def _placed(self, plan, grasp, rng):
        """Where the hand's frame lies in the world, (rotation, shift): the arm as arms are, the thing as it likes."""
        grip = grasp.grip
        up = np.array(grip.up if grip.up is not None else rng.normal(0, 1, 3), float)
        if plan.intent == "use" and plan.thing in _LEAN:
            lean = _LEAN[plan.thing] * rng.uniform(0.6, 1.1)
            up = Rotation.from_rotvec([0, 0, -lean]).apply(up)  # to the left of the person, over something there
        world = np.stack([_unit(_PULL + rng.normal(0, 0.12, 3)), _unit(up + rng.normal(0, 0.1, 3))])
        local = np.stack([[1.0, 0, 0], grasp.turn[:, 2]])
        turn = Rotation.align_vectors(world, local, [1.0, 2.0 if grip.up is not None else 0.05])[0].as_matrix()
        middle = turn @ (0.5 * grasp.shift + 0.5 * np.array([0.02, -0.02, 0]))
        return turn, CENTRE + rng.normal(0, 0.015, 3) - middle

    def _receiver(self, plan, grasps, first, rng):
        """The same for the second person, who takes the thing where the first one holds it, and their azimuth.

        Turned about the thing so that the arm comes from a person beside the first one, and the hands are apart.
        """
        giver, own = grasps
        hand = self._hand(plan.people[0], giver.pose, *first)
        options = []
        for spin in np.linspace(0, 2 * np.pi, 48, endpoint=False) if own.grip.spin else (0.0, np.pi):
            turn = first[0] @ giver.turn @ _about_z(spin) @ own.turn.T
            place = first[0] @ giver.shift + first[1] - turn @ own.shift
            arm = turn[:, 0]
            azimuth = np.arctan2(arm[0], arm[2]) - np.arctan2(_PULL[0], _PULL[2])
            azimuth = np.clip((azimuth + np.pi) % (2 * np.pi) - np.pi, 1.1, 2.1)
            usual = Rotation.from_rotvec([0, azimuth, 0]).apply(_unit(_PULL))
            options.append((arm @ usual, turn, place, float(azimuth)))
        options.sort(key=lambda option: -option[0])
        for _, turn, place, azimuth in options:
            other = self._hand(plan.people[1], own.pose, turn, place)
            if not overlap(hand.verts, other.verts, self._faces):
                return turn, place, azimuth
        return options[0][1:]

    def _reaching(self, plan, grasp, second, motion, turn, place):
        """The second person's hand just before it takes the thing: fingers open, off it by more than _CLEAR."""
        pose = between(grasp.pose, np.concatenate([0.4 * grasp.open[:36], grasp.open[36:]]), 0.8)
        for far in np.arange(0.025, 0.12, 0.01):
            hand = self._hand(plan.people[1], pose, second[0], second[1] + far * second[0] @ _RETREAT, motion)
            if distance(hand, plan.thing, turn, place) > _CLEAR:
                break
        return hand

    def _hand(self, person, fingers, turn, shift, motion=_STILL):
        """Held: the hand's own frame goes to turn @ x + shift, and then through the motion about the centre."""
        turn, shift = motion[0] @ turn, motion[0] @ (shift - CENTRE) + CENTRE + motion[1]
        pose = np.concatenate([Rotation.from_matrix(turn).as_rotvec(), fingers])
        with torch.no_grad():
            out = self._layer(pose=pose, mean_added=True, shape=self.shapes[person])
        verts, joints = out["verts"].numpy(), out["joints"].numpy()
        move = turn @ joints[0] + shift - joints[0]  # the layer turns about the wrist
        return Held(turn, fingers, self.shapes[person], joints[0] + move, verts + move, joints + move)

    def shot(self, moment, plan, place, camera, grain, table=None):
        """The ``scene.Shot`` of a Moment; ``place``: the Look whose light and backdrop count; table: its kind."""
        looks = [dressed(self.looks[person], place) for person in plan.people]
        guests = [scene.Guest(look, moment.azimuth, CENTRE) for look in looks[1:]]
        posed = []
        for number, hand in enumerate(moment.hands):
            azimuth = moment.azimuth if number else 0.0
            usual = Rotation.from_rotvec([0, azimuth, 0])
            pull = _unit(0.7 * hand.wrist[:, 0] + 0.5 * usual.apply(_unit(_PULL)))
            shoulder = usual.apply(scene.SHOULDER - CENTRE) + CENTRE
            posed.append(scene.PosedHand(0, hand.verts, np.stack([hand.place + 0.27 * pull, shoulder]), number))
        things = [_thing(objects.make(moment.thing), moment.turn, moment.place)]
        if table is not None:
            things.append(_thing(objects.table(table), _UPRIGHT, _TABLE, far=True))
        return scene.Shot(tuple(posed), looks[0], camera, tuple(things), tuple(guests), grain)


def _thing(made, turn, place, far=False):
    return scene.Thing(made.verts @ turn.T + place, made.faces, made.verts, made.look, far)


def dressed(person, place):
    """The Look of a person at a place, both given as Looks."""
    names = ("backdrop", "palette", "key", "key_light", "sky_light", "rim", "rim_light", "exposure")
    return dataclasses.replace(person, **{name: getattr(place, name) for name in names})


def rig(rng, size, focal, distance):
    """Four cameras around the hands, {name: scene.Camera}: size (height, width) px; focal (low, high) px; distance
    (low, high) m.
    """
    cameras = {}
    for name, azimuth in _AZIMUTHS.items():
        azimuth, height = azimuth + rng.normal(0, 0.06), rng.uniform(0.25, 0.6)
        rot = scene.towards(azimuth, height, rng.normal(0, 0.04))
        centre = np.array(size[::-1]) / 2 + rng.normal(0, 4, 2)
        f = rng.uniform(*focal)
        K = np.array([[f, 0, centre[0]], [0, f * rng.normal(1, 5e-4), centre[1]], [0, 0, 1]])
        pos = CENTRE + rng.normal(0, 0.012, 3) - rng.uniform(*distance) * rot[2]
        cameras[name] = scene.Camera(K, rot, pos, size)
    return cameras


def _about_z(angle):
    return Rotation.from_rotvec([0, 0, angle]).as_matrix()


def _unit(vector):
    return vector / np.linalg.norm(vector)


def distance(hand, thing, turn, place):
    """How far (m) the nearest vertex of a Held hand is from the thing there; 0 or less where it touches it."""
    local = torch.tensor((hand.verts - place) @ turn)
    return float(solids.distance(objects.make(thing).filled, local).min())
