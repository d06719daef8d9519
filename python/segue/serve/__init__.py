"""Serves a pipeline to clients of existing protocols; requires the extra [serve] of the wheel.

    python -m segue.serve DIR                              # Open Inference Protocol v2 over HTTP
    python -m segue.serve DIR --model MODEL --labels FILE  # also DeepStack and CodeProject.AI
    python -m segue.serve DIR --model MODEL --zmq ipc:///tmp/cache/zmq_detector  # also Frigate

docs/serve.md describes protocols, options, metrics and limits.
"""
