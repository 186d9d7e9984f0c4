"""How the image tower of the embedded CLIP is made."""
