"""Demo data in the layout of UBody, of the free body: people who talk and sign, filmed from the waist up.

The videos have three frames per second, so that few need to be rendered. `handlib.datasets.ubody_videos` cuts them into
30 pictures per second, ten of each frame, and every picture is annotated: UBody's readers take each tenth annotation
to train with and each hundredth to test. As in the originals, each person's fit stands before a virtual camera of its
own (`handlib.datasets.people.virtual_camera`).
"""

import dataclasses
from pathlib import Path

import numpy as np

from handlib import bodies, body_joints, export, geometry
from handlib.datasets import coco, ubody, ubody_videos
from handlib.datasets.people import virtual_camera
from handlib.demo import coco_people, folders, outfits, people, people_studio, places, pool, scene
from handlib.files import InputError, write_json

VERSION = 2  # of what is drawn; another one makes the data anew
LEAST = 5  # frames; with fewer, no test video would have a hundredth annotation
RATE = 3.0  # frames per second
SIZE, FOCAL = (360, 480), 5000.0  # from so far that the fits' virtual camera sees the same
SCENES = {"Interview": 2, "SignLanguage": 1}  # how many people are in each
_POSES = ("thinking", "pointing", "waving", "open_arms", "typing")
_KEYS = 4  # of these a person goes through in a video, standing
_LEGS = [body_joints.SMPLX55.joints.index(f"{side}_{name}") for side in "LR" for name in ("Hip", "Knee", "Ankle")]
_TALL = 1.15  # m that a picture shows
_VALID = 2  # ``valid_label`` of a person who counts


def make(root, frames=8, seed=0, processes=None, show_progress=True):
    """Write demo data under ``root`` (e.g. data/demo/UBody); returns ``root`` as a Path.

    Arguments: ``frames`` of each video, at least 5. Each of the two scenes has two videos, the second one to test with;
    in the list "inter", all of the second scene. ``seed``; ``processes`` (None: one per core). The same frames and seed
    give the same bytes, with the same OpenCV. Nothing is done where they are already there; the folder appears whole or
    not at all. Raises InputError rather than replace a folder that holds anything else.
    """
    if frames < LEAST:
        raise InputError("make_ubody", f"{frames} frames are too few", f"ask for at least {LEAST}", "frames")
    settings = {"layout": "UBody", "frames": frames, "seed": seed, "version": VERSION}
    with folders.made(root, settings) as folder:
        if folder:
            _fill(folder, frames, seed, processes, show_progress)
    return Path(root)


@dataclasses.dataclass(frozen=True)
class _Clip:
    """A video: its scene, its name without ending, a `people_studio.Shot` per frame."""

    scene: str
    name: str
    shots: list

    def frame_of(self, picture):
        """Which frame is picture number ``picture`` (from 0), of those that are cut from the video."""
        return next(n for n in range(len(self.shots)) if ubody_videos.places(n, RATE) > picture)


def _fill(folder, count, seed, processes, show_progress):
    layer = bodies.load(None, "smplx_neutral")
    names = [(where, f"{where}_S{number}_Trim1") for where in SCENES for number in (1, 2)]
    clips = [_Clip(*name, list(_shots(layer, SCENES[name[0]], count, np.random.default_rng([seed, 41, number]))))
             for number, name in enumerate(names)]  # fmt: skip
    shots = [shot for clip in clips for shot in clip.shots]
    jobs = [(shot, [seed, 42, number]) for number, shot in enumerate(shots)]
    taken = pool.each(people_studio.taken, jobs, processes, show_progress)
    taken = [taken[start : start + count] for start in range(0, len(taken), count)]
    for clip, frames in zip(clips, taken, strict=True):
        path = folder / "videos" / clip.scene / f"{clip.name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        with export.OverlayVideo(path, RATE, SIZE[::-1]) as video:
            for picture, _ in frames:
                video.write(picture)
    ubody_videos.cut(folder)
    for where in SCENES:
        own = [(clip, frames) for clip, frames in zip(clips, taken, strict=True) if clip.scene == where]
        _annotate(folder / "annotations" / where, own)
    tests = {"intra": clips[1::2], "inter": clips[2:]}
    (folder / "splits").mkdir()
    for which, chosen in tests.items():
        listed = [ubody.video(f"{clip.name}/") for clip in chosen]
        np.save(folder / "splits" / f"{which}_scene_test_list.npy", listed)
    coco_people.write_marker(folder)


def _annotate(folder, clips):
    """One scene's files. In every other picture people are counted the other way round: of two, each one's turn comes
    to be the tenth.
    """
    images, rows, fits = [], [], {}
    for clip, frames in clips:
        found = [coco_people.annotations(shot, seen) for shot, (_, seen) in zip(clip.shots, frames, strict=True)]
        for picture in range(ubody_videos.places(len(frames) - 1, RATE)):
            frame, number = clip.frame_of(picture), len(images) + 1
            images.append(coco_people.image(number, f"/{clip.name}/{picture + 1:06d}.png", SIZE))
            persons = list(enumerate(found[frame]))
            for place, item in persons[:: 1 if picture % 2 else -1]:
                if item is not None:
                    own = {"id": len(rows) + 1, "image_id": number, "valid_label": _VALID}
                    rows.append(own | item | _larger_hands(item))
                    shot = clip.shots[frame]
                    K = virtual_camera(np.array(item["bbox"]), coco.Picture("", *SIZE[::-1], {}))
                    fits[str(own["id"])] = coco_people.fit(shot.people[place], shot.camera, item, K)
    write_json(folder / "keypoint_annotation.json", {"images": images, "annotations": rows})
    write_json(folder / "smplx_annotation.json", fits)


def _larger_hands(item):
    """Boxes of hands as UBody has them: so large that what its reader leaves of them is the hand."""
    names = [f"{side}hand_box" for side in ("left", "right")]
    return {name: ubody.enlarged(item[name], 1 / ubody.HAND).round(3).tolist() for name in names}


def _shots(layer, count, frames, rng):
    """A `Shot` for every frame: people who go from pose to pose, and sway."""
    look = scene.look(rng, chances=(0.0, 0.3, 0.7))
    room, dressed = places.room(rng, look), [outfits.draw(rng) for _ in range(count)]
    acts = [_act(layer, rng, 0.8 * (number - (count - 1) / 2)) for number in range(count)]
    tops = [people.posed(layer, act[0])[0][:, 1].min() for act in acts]
    distance = FOCAL / SIZE[0] * _TALL
    rot = scene.towards(rng.normal(0, 0.12), rng.uniform(0.0, 0.08), 0.0)
    aim = np.array([0, min(tops) - 0.12 + _TALL / 2, 0])
    K = geometry.intrinsics((FOCAL, FOCAL), (SIZE[1] / 2 - 0.5, SIZE[0] / 2 - 0.5))
    camera = scene.Camera(K, rot, aim - distance * rot[2], SIZE)
    for time in np.linspace(0, 1, frames):
        folk = [(_moment(act, time), outfit) for act, outfit in zip(acts, dressed, strict=True)]
        yield people.shot(layer, folk, look, camera, room)


def _act(layer, rng, x):
    """The poses that somebody at x (m) goes through, turned to the middle: parameters in the world's frame."""
    yaw, shape = rng.normal(0, 0.15) - 0.9 * x, rng.normal(0, 0.8, 10)
    names = rng.choice(_POSES, _KEYS, replace=False)
    keys = [people.doing(rng, layer, str(name), yaw, lively=True) | {"shape": shape} for name in names]
    for key in keys:
        key["body_pose"].reshape(21, 3)[np.array(_LEGS) - 1] = 0
    placed, _ = people.on_floor(layer, keys[0], x, rng.uniform(-0.1, 0.1))
    fixed = {name: placed[name] for name in ("root_pose", "transl")}
    return [key | fixed for key in keys]


def _moment(keys, time):
    """Parameters between two poses; time 0..1 of all."""
    place = time * (len(keys) - 1)
    before = min(int(place), len(keys) - 2)
    share = place - before
    share = share * share * (3 - 2 * share)
    now = {name: (1 - share) * value + share * keys[before + 1][name] for name, value in keys[before].items()}
    return now | {"transl": now["transl"] + np.array([0.03, 0, 0.02]) * np.sin(6 * time)}
