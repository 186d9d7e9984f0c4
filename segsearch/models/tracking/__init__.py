"""Keeps the identity of things from keyframe to keyframe of a shot."""
