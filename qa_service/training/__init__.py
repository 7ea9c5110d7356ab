"""Offline: remakes the encoder, or adapts it to somebody's own wordings and question logs.

Importing its modules imports torch and onnx (seconds): only the command line's `train` does, when it is asked to.
"""
