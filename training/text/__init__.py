"""How the text tower of the embedded CLIP is made."""
