"""Scan -> claim -> describe -> commit: how pictures get into a library."""
