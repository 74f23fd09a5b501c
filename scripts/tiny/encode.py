"""Encodes raw RGB frames from standard input as H.264: python scripts/tiny/encode.py WIDTH HEIGHT OUT.mp4"""
import sys

import av
import numpy as np

width, height, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
frames = np.frombuffer(sys.stdin.buffer.read(), np.uint8).reshape(-1, height, width, 3)
with av.open(path, "w") as container:
    stream = container.add_stream("libx264", rate=4, options={"crf": "14", "preset": "slow"})
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    for frame in frames:
        container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
    container.mux(stream.encode())
