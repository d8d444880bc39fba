"""GLB files, read and posed by the rules of glTF 2.0."""

import json
import struct

import numpy as np
import roma
import torch


class Glb:
    """A .glb taken apart by the rules of glTF 2.0, each of them checked."""

    def __init__(self, path):
        data = path.read_bytes()
        magic, version, length, text_length, text_kind = struct.unpack("<IIIII", data[:20])
        assert (magic, version, length, text_kind) == (0x46546C67, 2, len(data), 0x4E4F534A)
        self.content = json.loads(data[20 : 20 + text_length])
        size, kind = struct.unpack("<II", data[20 + text_length : 28 + text_length])
        self.binary = data[28 + text_length :]
        assert kind == 0x004E4942 and text_length % 4 == 0 and len(self.binary) == size and size % 4 == 0
        assert [size] == [buffer["byteLength"] for buffer in self.content["buffers"]]
        self.nodes = self.content["nodes"]
        self.arrays = [self.array(accessor) for accessor in self.content["accessors"]]
        parents = [child for node in self.nodes for child in node.get("children", [])]
        assert len(set(parents)) == len(parents), "a node has one parent"
        assert set(self.content["scenes"][0]["nodes"]) == set(range(len(self.nodes))) - set(parents)

    def array(self, accessor):
        view = self.content["bufferViews"][accessor["bufferView"]]
        kind = {5126: np.float32, 5121: np.uint8, 5123: np.uint16}[accessor["componentType"]]
        width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}[accessor["type"]]
        assert view["byteOffset"] % 4 == 0 and view["byteOffset"] + view["byteLength"] <= len(self.binary)
        assert view["byteLength"] == accessor["count"] * width * np.dtype(kind).itemsize
        values = np.frombuffer(self.binary, kind, accessor["count"] * width, view["byteOffset"]).reshape(-1, width)
        if "min" in accessor:
            assert np.array_equal(values.min(0), np.array(accessor["min"], kind))
            assert np.array_equal(values.max(0), np.array(accessor["max"], kind))
        return values

    def posed(self, number, time=None):
        """Vertices of skinned mesh ``number`` as a viewer computes them."""
        node = [one for one in self.nodes if "skin" in one][number]
        skin = self.content["skins"][node["skin"]]
        (primitive,) = self.content["meshes"][node["mesh"]]["primitives"]
        values = {name: self.arrays[place].astype(float) for name, place in primitive["attributes"].items()}
        assert "min" in self.content["accessors"][primitive["attributes"]["POSITION"]]
        assert np.allclose(np.linalg.norm(values["NORMAL"], axis=1), 1, atol=1e-5)
        assert np.allclose(values["WEIGHTS_0"].sum(1), 1, atol=1e-6)
        inverse = self.arrays[skin["inverseBindMatrices"]].reshape(-1, 4, 4).swapaxes(1, 2)
        world = self.world(time)
        moves = np.stack([world[joint] for joint in skin["joints"]]) @ inverse
        moves = np.einsum("vk,vkij->vij", values["WEIGHTS_0"], moves[values["JOINTS_0"].astype(int)])
        points = np.concatenate([values["POSITION"], np.ones((len(values["POSITION"]), 1))], 1)
        return np.einsum("vij,vj->vi", moves, points)[:, :3], self.arrays[primitive["indices"]].reshape(-1, 3)

    def world(self, time):
        local = [dict(node) for node in self.nodes]
        for animation in self.content.get("animations", []) if time is not None else []:
            for channel in animation["channels"]:
                sampler = animation["samplers"][channel["sampler"]]
                times, values = self.arrays[sampler["input"]][:, 0], self.arrays[sampler["output"]]
                assert (np.diff(times) > 0).all() and len(times) == len(values)
                assert "min" in self.content["accessors"][sampler["input"]]
                place = max(np.searchsorted(times, time + 1e-6) - 1, 0)
                local[channel["target"]["node"]][channel["target"]["path"]] = values[place]
        found = {}

        def visit(number, above):
            node, matrix = local[number], np.eye(4)
            turn = roma.unitquat_to_rotmat(torch.tensor(np.array(node.get("rotation", [0, 0, 0, 1.0])))).numpy()
            matrix[:3, :3] = turn * np.asarray(node.get("scale", [1, 1, 1]))
            matrix[:3, 3] = node.get("translation", [0, 0, 0])
            found[number] = above @ matrix
            for child in node.get("children", []):
                visit(child, found[number])

        for root in self.content["scenes"][0]["nodes"]:
            visit(root, np.eye(4))
        return found
